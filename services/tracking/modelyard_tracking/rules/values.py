"""Identifiers, keys, names and limits as in MLflow, with MLflow's error messages."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable
from typing import Any

from modelyard_kit.errors import InvalidArgument, NotFound, missing

MAX_BATCH_ITEMS = 1_000
MAX_SERIES_POINTS = 100_000
MAX_EXPERIMENT_NAME_CHARACTERS = 500
MAX_RUN_NAME_CHARACTERS = 250
MAX_USER_CHARACTERS = 250
RUN_NAME_TAG = "mlflow.runName"
USER_TAG = "mlflow.user"
CONTEXT_TAG = "mlflow.data.context"
MODEL_HISTORY_TAG = "mlflow.log-model.history"
ARTIFACT_ROOT = "mlflow-artifacts:/"
DEFAULT_EXPERIMENT = 0
DEFAULT_EXPERIMENT_NAME = "Default"

_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}", re.ASCII)
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_EXPERIMENT_ID = re.compile(r"0|[1-9][0-9]{0,18}")
_IMPORTABLE_EXPERIMENT_ID = re.compile(r"[1-9][0-9]{0,17}")
_IMPORTABLE_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,31}", re.ASCII)
_MAX_EXPERIMENT_NUMBER = 2**63 - 1
_NOT_IN_MODEL_NAMES = frozenset("/:.%\"'")


def new_run_id() -> str:
    return secrets.token_hex(16)


def new_model_id() -> str:
    return f"m-{secrets.token_hex(16)}"


def run_id_of(run_id: str, run_uuid: str) -> str:
    """Return the run id of a request; `run_uuid` is the name of the field in MLflow 1 clients.

    Raises:
        InvalidArgument: Neither is given, they differ, or the id is malformed.
    """
    if not run_id and not run_uuid:
        raise missing("run_id")
    if run_id and run_uuid and run_id != run_uuid:
        raise InvalidArgument(
            f"run_id '{run_id}' and run_uuid '{run_uuid}' differ; give only one of them."
        )
    return checked_run_id(run_id or run_uuid)


def checked_run_id(text: str) -> str:
    if not _RUN_ID.fullmatch(text):
        raise InvalidArgument(
            f"Invalid run ID: '{text}'; expected letters, digits, '_' and '-'.", run_id=text
        )
    return text


def checked_model_id(text: str) -> str:
    if not _MODEL_ID.fullmatch(text):
        raise InvalidArgument(
            f"Invalid model ID: '{text}'; expected 'm-' and 32 hexadecimal digits.", model_id=text
        )
    return text


def possible_model_id(text: str) -> str:
    """Return the id of a logged model that may exist.

    Raises:
        NotFound: No logged model has an id of this form.
    """
    if not _MODEL_ID.fullmatch(text):
        raise NotFound(f"Logged model with ID '{text}' not found.", model_id=text)
    return text


def experiment_number(text: str) -> int:
    """Return an experiment id as a number.

    Raises:
        InvalidArgument: The text is not a decimal number, or the number exceeds 63 bits.
    """
    if not _EXPERIMENT_ID.fullmatch(text) or int(text) > _MAX_EXPERIMENT_NUMBER:
        raise InvalidArgument(
            f"Invalid experiment ID: '{text}'; expected a decimal number such as '0'.",
            experiment_id=text,
        )
    return int(text)


def importable_experiment_number(text: str) -> int | None:
    """Return the number that an imported experiment may keep, or None if it needs a new one.

    File stores use ids of 18 digits. New ids continue from the greatest one, so longer ids would
    leave too few.
    """
    return int(text) if _IMPORTABLE_EXPERIMENT_ID.fullmatch(text) else None


def is_importable_run_id(text: str) -> bool:
    """Return whether an imported run may keep its id."""
    return _IMPORTABLE_RUN_ID.fullmatch(text) is not None


def is_importable_model_id(text: str) -> bool:
    """Return whether an imported logged model may keep its id."""
    return _MODEL_ID.fullmatch(text) is not None


def checked_experiment_name(name: str) -> str:
    if not name.strip():
        raise InvalidArgument("Invalid experiment name: it is blank; expected some text.")
    return name


def checked_run_name(name: str) -> str:
    if not name.strip():
        raise InvalidArgument("Invalid run name: it is blank; expected some text.")
    if len(name) > MAX_RUN_NAME_CHARACTERS:
        raise InvalidArgument(
            f"Invalid run name: it has {len(name):,} characters, "
            f"at most {MAX_RUN_NAME_CHARACTERS} are allowed."
        )
    return name


def checked_user(name: str) -> str:
    if len(name) > MAX_USER_CHARACTERS:
        raise InvalidArgument(
            f"Invalid user, from user_id or the tag '{USER_TAG}': it has {len(name):,} characters, "
            f"at most {MAX_USER_CHARACTERS} are allowed."
        )
    return name


def checked_model_name(name: str) -> str:
    found = sorted(_NOT_IN_MODEL_NAMES.intersection(name))
    if found or not name.strip() or not name.isprintable():
        raise InvalidArgument(
            f"Invalid model name ('{name}') provided. Model name must be a non-empty string and "
            "cannot contain the following characters: / : . % \" '",
            name=name,
        )
    return name


def model_description(text: str) -> dict[str, Any]:
    """Parse the JSON form of an MLmodel file.

    Raises:
        InvalidArgument: The text is not a JSON object, or lacks a mandatory field.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgument(
            "Malformed model info: expected an MLmodel file as JSON; the value is not JSON."
        ) from None
    if not isinstance(found, dict):
        raise InvalidArgument("Malformed model info: expected a JSON object.")
    missing = [
        key
        for key in ("artifact_path", "flavors", "utc_time_created", "run_id")
        if key not in found
    ]
    if missing:
        raise InvalidArgument(
            f"Model json is missing mandatory fields: {', '.join(missing)}.", fields=missing[0]
        )
    return found


def unique(pairs: Iterable[tuple[str, str]], what: str) -> dict[str, str]:
    """Return pairs as a dictionary.

    Raises:
        InvalidArgument: A key has two different values.
    """
    found: dict[str, str] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise InvalidArgument(
                f"Duplicate {what} keys have been submitted: '{key}' has the values "
                f"'{found[key]}' and '{value}'. Please ensure the request contains only one "
                f"{what} value per {what} key.",
                key=key,
            )
    return found


def experiment_artifacts(experiment_id: int) -> str:
    return f"{ARTIFACT_ROOT}{experiment_id}"


def run_artifacts(experiment_id: int, run_id: str) -> str:
    return f"{experiment_artifacts(experiment_id)}/{run_id}/artifacts"


def model_artifacts(experiment_id: int, model_id: str) -> str:
    return f"{experiment_artifacts(experiment_id)}/models/{model_id}/artifacts"
