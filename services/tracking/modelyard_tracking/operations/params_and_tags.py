"""Params, which are immutable, and tags, which are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from modelyard_kit.db.rows import Rows
from modelyard_kit.errors import FailedPrecondition, InvalidArgument, NotFound
from modelyard_tracking.rules.values import MODEL_HISTORY_TAG, RUN_NAME_TAG, checked_run_name
from modelyard_tracking.statements import params_and_tags as statements
from modelyard_tracking.statements.runs import RENAME


def log_params(rows: Rows, run_id: str, params: Mapping[str, str]) -> bool:
    """Set params, and return whether any was new.

    Args:
        rows: Rows of the transaction.
        run_id: Id of an active run.
        params: Values by checked key.

    Raises:
        InvalidArgument: A param already has another value.
    """
    if not params:
        return False
    present = dict(rows.execute(statements.PARAMS, {"run_id": run_id, "keys": params}))
    for key, value in params.items():
        if present.get(key, value) != value:
            raise InvalidArgument(
                f"Changing param values is not allowed. Param with key='{key}' was already "
                f"logged with value='{present[key]}' for run ID='{run_id}'. Attempted logging "
                f"new value '{value}'.",
                key=key,
            )
    new = {key: value for key, value in params.items() if key not in present}
    rows.execute_many(statements.ADD_PARAM, _of_run(run_id, new))
    return bool(new)


def set_tags(rows: Rows, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags of an active run, by checked key; the tag `mlflow.runName` renames the run."""
    store_tags(rows, run_id, tags)
    if RUN_NAME_TAG in tags:
        name = checked_run_name(tags[RUN_NAME_TAG])
        rows.execute(RENAME, {"of_run": run_id, "name": name})


def store_tags(rows: Rows, run_id: str, tags: Mapping[str, str]) -> None:
    """Set tags without an effect on the run itself."""
    rows.execute_many(statements.SET_TAG, _of_run(run_id, tags))


def delete_tag(rows: Rows, run_id: str, key: str) -> None:
    if rows.first(statements.DELETE_TAG, {"run_id": run_id, "key": key}) is None:
        raise NotFound(f"No tag with name: {key} in run with id {run_id}", run_id=run_id, key=key)


def append_model(rows: Rows, run_id: str, description: dict[str, Any]) -> None:
    """Append the content of an MLmodel file to the tag `mlflow.log-model.history` of an active run.

    A repeated description changes nothing.

    Raises:
        FailedPrecondition: The value of the tag is not a JSON list.
    """
    tag = rows.first(statements.TAG, {"run_id": run_id, "key": MODEL_HISTORY_TAG})
    try:
        descriptions = json.loads(tag[0]) if tag is not None else []
    except ValueError:
        descriptions = None
    if not isinstance(descriptions, list):
        raise FailedPrecondition(
            f"The tag '{MODEL_HISTORY_TAG}' of the run {run_id} is not a JSON list; delete the "
            "tag, then retry.",
            run_id=run_id,
        )
    if description not in descriptions:
        descriptions.append(description)
    set_tags(rows, run_id, {MODEL_HISTORY_TAG: json.dumps(descriptions)})


def _of_run(run_id: str, values: Mapping[str, str]) -> list[Mapping[str, Any]]:
    return [{"run_id": run_id, "key": key, "value": value} for key, value in values.items()]
