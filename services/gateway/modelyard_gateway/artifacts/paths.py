"""Logical paths of artifacts: the run, logged model or manifest that a proxy path refers to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from modelyard_kit.artifacts import Digest, logical_path
from modelyard_kit.errors import InvalidArgument, NotFound
from modelyard_kit.http.requests import Request

_OWNED = re.compile(
    r"(?P<experiment_id>[0-9]{1,18})/"
    r"(?:models/(?P<model_id>m-[0-9a-f]{32})|(?P<run_id>[A-Za-z0-9][\w-]{0,255}))"
    r"/artifacts(?:/(?P<path>.+))?",
    re.ASCII | re.DOTALL,
)
_FOLDER = re.compile(r"(?P<experiment_id>[0-9]{1,18})(?P<models>/models)?", re.ASCII)
_PINNED = re.compile(r"manifests/(?P<digest>[^/]+)(?:/(?P<path>.+))?", re.DOTALL)
_MAX_SHOWN_CHARACTERS = 200
_EXPECTED = (
    "expected <experiment_id>/<run_id>/artifacts/<path>, "
    "<experiment_id>/models/<model_id>/artifacts/<path> or manifests/<digest>/<path>"
)


@dataclass(frozen=True, slots=True)
class Owned:
    """A file or folder of a run or logged model.

    Attributes:
        experiment_id: Id of the owner's experiment; empty if not given.
        run_id: Id of the owning run; empty for a logged model.
        model_id: Id of the owning logged model; empty for a run.
        path: Path within the owner's artifact tree; empty for the whole tree.
    """

    experiment_id: str
    run_id: str
    model_id: str
    path: str

    @property
    def owner(self) -> dict[str, Any]:
        """The fields that name the owner in a request."""
        named = {"run_id": self.run_id} if self.run_id else {"model_id": self.model_id}
        return {**named, "experiment_id": self.experiment_id}

    def __str__(self) -> str:
        tree = f"models/{self.model_id}" if self.model_id else self.run_id
        experiment = f"{self.experiment_id}/" if self.experiment_id else ""
        path = f"/{self.path}" if self.path else ""
        return f"{experiment}{tree}/artifacts{path}"


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file or folder of a manifest that a version is pinned to; read-only."""

    digest: Digest
    path: str

    def __str__(self) -> str:
        return f"manifests/{self.digest}/{self.path}" if self.path else f"manifests/{self.digest}"


@dataclass(frozen=True, slots=True)
class Experiment:
    """Folder of an experiment: the parent of its runs' folders, or of its logged models'."""

    experiment_id: str
    is_models: bool


ArtifactPath = Owned | Pinned


def path_in(request: Request) -> str:
    """Return the path below the route of a request, decoded once.

    Raises:
        InvalidArgument: The path is not UTF-8.
    """
    rest: str = request.path_params["rest"]
    _decoded(request.scope["raw_path"])
    return rest


def unquoted_path_in(request: Request) -> str:
    """Return the path below the route of a request that takes no parameters.

    MLflow's clients do not quote a `?` in a name, so that the rest of the name arrives as a query.

    Raises:
        InvalidArgument: The path is not UTF-8.
    """
    query = request.scope["query_string"]
    return f"{path_in(request)}?{_decoded(query)}" if query else path_in(request)


def _decoded(raw: bytes) -> str:
    try:
        return unquote(raw.decode("latin-1"), errors="strict")
    except UnicodeDecodeError:
        raise InvalidArgument("Invalid artifact path: it is not UTF-8") from None


def parse(text: str) -> ArtifactPath:
    """Parse a logical path.

    Raises:
        InvalidArgument: The path breaks the grammar.
        NotFound: The path has neither an owner nor a manifest.
    """
    for form in (_OWNED, _PINNED):
        if found := form.fullmatch(text):
            fields = {name: value or "" for name, value in found.groupdict().items()}
            if fields["path"]:
                logical_path(fields["path"])
            if form is _PINNED:
                return Pinned(Digest(fields["digest"]), fields["path"])
            return Owned(**fields)
    logical_path(text)
    raise NotFound(
        f"There are no artifacts at '{text[:_MAX_SHOWN_CHARACTERS]}': {_EXPECTED}.", path=text
    )


def folder(text: str) -> ArtifactPath | Experiment:
    """Parse the path of a folder to list; raises as `parse` does."""
    if found := _FOLDER.fullmatch(text):
        return Experiment(found["experiment_id"], is_models=found["models"] is not None)
    return parse(text)


def owned_file(text: str) -> Owned:
    """Parse the path of a file to write, or of a file or folder to delete.

    Raises:
        InvalidArgument: The path breaks the grammar, or belongs to a manifest.
        NotFound: The path has no owner.
    """
    artifact = parse(text)
    if isinstance(artifact, Pinned):
        raise InvalidArgument(
            f"'{artifact}' belongs to a manifest that a version is pinned to and that cannot be "
            "changed. Log to a run or a logged model.",
            path=text,
        )
    return artifact
