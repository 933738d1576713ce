"""References to versions by number, stage or alias, and URIs of models and of their sources."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.references.names import (
    LATEST,
    check_model_name,
    is_number,
    version_number,
)
from modelyard_kit.references.stages import Stage

_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}", re.ASCII)
_LOGGED_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_SHOWN_CHARACTERS = 120

_MODEL_FORMS = (
    "models:/<name>/<version or stage>, models:/<name>/latest, models:/<name>@<alias>, "
    "models:/m-<32 hexadecimal digits> or runs:/<run_id>/<path>"
)
_ARTIFACT_FORMS = (
    "mlflow-artifacts:/<experiment_id>/<run_id>/artifacts/<path>, "
    "mlflow-artifacts:/<experiment_id>/models/<model_id>/artifacts or "
    "mlflow-artifacts:/manifests/<digest>"
)


@dataclass(frozen=True, slots=True)
class Alias:
    """A movable name for a version; `latest`, in upper or lower case, is the highest one."""

    name: str

    @classmethod
    def parse(cls, text: str) -> Alias:
        """Return the alias with a name; `latest` is normalized to lower case."""
        return cls(LATEST if text.lower() == LATEST else text)


Reference: TypeAlias = int | Stage | Alias
"""A reference to a version of a model: its number, its stage or its alias."""


@dataclass(frozen=True, slots=True)
class VersionSource:
    """A version of a registered model."""

    name: str
    reference: Reference


@dataclass(frozen=True, slots=True)
class RunSource:
    """The files of a run below `path`; an empty path means all of them."""

    run_id: str
    path: str


@dataclass(frozen=True, slots=True)
class LoggedModelSource:
    """The files of a logged model below `path`; an empty path means all of them."""

    model_id: str
    path: str


@dataclass(frozen=True, slots=True)
class ManifestSource:
    """A manifest that was registered before."""

    digest: str


@dataclass(frozen=True, slots=True)
class ForeignSource:
    """A source outside of the platform: stored as text, never opened by a service."""

    text: str


Sealable: TypeAlias = RunSource | LoggedModelSource
"""Sources that tracking can seal."""

Source: TypeAlias = Sealable | VersionSource | ManifestSource | ForeignSource


def parse_reference(text: str) -> Reference:
    """Parse a reference: digits are a number, a stage's name is a stage, other text is an alias."""
    if is_number(text):
        return version_number(text)
    return Stage.named(text) or Alias.parse(text)


def parse_model_uri(uri: str) -> Sealable | VersionSource:
    """Parse the URI of a model that can be loaded, in one of MLflow's forms.

    Raises:
        InvalidArgument: The URI has another form; the message lists the expected ones.
    """
    if uri.startswith("models:/") and not uri.startswith("models://"):
        return _models_uri(uri)
    if uri.startswith("runs:/") and not uri.startswith("runs://"):
        return _runs_uri(uri)
    raise _malformed(uri, f"expected {_MODEL_FORMS}")


def parse_source(text: str) -> Source:
    """Parse the source of a new version.

    Raises:
        InvalidArgument: The source has one of our schemes but an unknown form; the message lists
            the expected ones.
    """
    if text.startswith(("models://", "runs://", "mlflow-artifacts://")):
        return ForeignSource(text)  # names another server
    if text.startswith(("models:/", "runs:/")):
        return parse_model_uri(text)
    if text.startswith("mlflow-artifacts:/"):
        return _artifacts_uri(text)
    return ForeignSource(text)


def _models_uri(uri: str) -> LoggedModelSource | VersionSource:
    rest = uri.removeprefix("models:/")
    if _LOGGED_MODEL_ID.fullmatch(rest):
        return LoggedModelSource(rest, "")
    if "/" not in rest:
        name, separator, alias = rest.rpartition("@")
        if not separator or not alias:
            raise _malformed(uri, f"expected {_MODEL_FORMS}")
        check_model_name(name)
        return VersionSource(name, Alias.parse(alias))
    name, _, text = rest.partition("/")
    check_model_name(name)
    reference = parse_reference(text) if text else None
    if isinstance(reference, Alias) and reference.name != LATEST:
        raise _malformed(
            uri,
            f"'{reference.name}' is neither a version, nor '{LATEST}', nor one of the stages "
            f"{', '.join(Stage)}; an alias is written models:/<name>@<alias>",
        )
    if reference is None:
        raise _malformed(uri, f"expected {_MODEL_FORMS}")
    return VersionSource(name, reference)


def _runs_uri(uri: str) -> RunSource:
    run_id, _, path = uri.removeprefix("runs:/").partition("/")
    if not _RUN_ID.fullmatch(run_id):
        raise _malformed(uri, f"expected {_MODEL_FORMS}")
    return RunSource(run_id, _checked_path(uri, path))


def _artifacts_uri(uri: str) -> Source:
    match uri.removeprefix("mlflow-artifacts:/").split("/"):
        case ["manifests", digest] if _DIGEST.fullmatch(digest):
            return ManifestSource(digest)
        case [_, "models", model_id, "artifacts", *path] if _LOGGED_MODEL_ID.fullmatch(model_id):
            return LoggedModelSource(model_id, _checked_path(uri, "/".join(path)))
        case [_, run_id, "artifacts", *path] if _RUN_ID.fullmatch(run_id):
            return RunSource(run_id, _checked_path(uri, "/".join(path)))
        case _:
            raise _malformed(uri, f"expected {_ARTIFACT_FORMS}")


def _checked_path(uri: str, path: str) -> str:
    path = path.removesuffix("/")
    if path and {"", ".", ".."} & set(path.split("/")):
        raise _malformed(uri, "its path must not have '.', '..' or empty segments")
    return path


def _malformed(uri: str, expectation: str) -> InvalidArgument:
    cut = uri[:_MAX_SHOWN_CHARACTERS]
    return InvalidArgument(f"Invalid model URI '{cut}': {expectation}.", uri=cut)
