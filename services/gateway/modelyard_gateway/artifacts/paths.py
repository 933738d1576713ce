"""Logical paths of artifacts: whose file a path of the proxy means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from modelyard_kit.artifacts import Digest, logical_path
from modelyard_kit.errors import InvalidArgument, NotFound

_OWNED = re.compile(
    r"(?P<experiment_id>[0-9]{1,18})/"
    r"(?:models/(?P<model_id>m-[0-9a-f]{32})|(?P<run_id>[A-Za-z0-9][\w-]{0,255}))"
    r"/artifacts(?:/(?P<path>.+))?",
    re.ASCII,
)
_FOLDER = re.compile(r"(?P<experiment_id>[0-9]{1,18})(?P<models>/models)?", re.ASCII)
_PINNED = re.compile(r"manifests/(?P<digest>[^/]+)(?:/(?P<path>.+))?")
_MAX_SHOWN_CHARACTERS = 200
_EXPECTED = (
    "expected <experiment_id>/<run_id>/artifacts/<path>, "
    "<experiment_id>/models/<model_id>/artifacts/<path> or manifests/<digest>/<path>"
)


@dataclass(frozen=True, slots=True)
class Owned:
    """A file or folder of a run or logged model.

    Attributes:
        experiment_id: The owner's; empty if it was not said.
        run_id: Or else `model_id`; the other is empty.
        model_id: Of a logged model.
        path: Within the owner's tree; the whole tree if empty.
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
    """A file or folder of a manifest that a version is pinned to, which nobody can change."""

    digest: Digest
    path: str

    def __str__(self) -> str:
        return f"manifests/{self.digest}/{self.path}" if self.path else f"manifests/{self.digest}"


@dataclass(frozen=True, slots=True)
class Experiment:
    """The folder of an experiment, which holds those of its runs, or that of its logged models."""

    experiment_id: str
    is_models: bool


Place = Owned | Pinned


def parse(text: str) -> Place:
    """Take a logical path apart.

    Raises:
        InvalidArgument: It breaks the grammar of paths.
        NotFound: It is of no owner's tree.
    """
    if "\ufffd" in text:
        raise InvalidArgument("Invalid artifact path: it is not UTF-8")
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


def folder(text: str) -> Place | Experiment:
    """Take the path of what is to be listed apart; raises as `parse` does."""
    if found := _FOLDER.fullmatch(text):
        return Experiment(found["experiment_id"], is_models=found["models"] is not None)
    return parse(text)


def owned_file(text: str) -> Owned:
    """Take the path of a file that is to be written, or of a tree to be emptied, apart.

    Raises:
        InvalidArgument: It breaks the grammar of paths, or is of a manifest.
        NotFound: It is of no owner's tree.
    """
    place = parse(text)
    if isinstance(place, Pinned):
        raise InvalidArgument(
            f"'{place}' is of a manifest that a version is pinned to; it cannot be changed. "
            "Log to a run or a logged model.",
            path=text,
        )
    return place
