"""Interface for reading an MLflow installation, in messages of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2

DEFAULT_EXPERIMENT_ID = "0"
PROMPT_TAG = "mlflow.prompt.is_prompt"


class Unreadable(Exception):
    """Files of the source cannot be read; the message names them, the reason and the remedy."""


class Unreachable(Exception):
    """The source or the destination as a whole cannot be used; the message names the reason."""


@dataclass(frozen=True, slots=True)
class Tree:
    """An artifact tree at the source.

    Args:
        uri: Artifact URI, e.g. `mlflow-artifacts:/1/<run>/artifacts` or `s3://…`.
        run_id: Id of the run that owns the tree, if any.
        model_id: Id of the logged model that owns the tree, if any.
    """

    uri: str
    run_id: str = ""
    model_id: str = ""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a tree.

    Args:
        path: Path relative to the tree's root.
        size_bytes: Size of the file.
        unreadable: Reason why the file cannot be read; empty if it can.
    """

    path: str
    size_bytes: int
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """A registered version, and the URI of its bytes as resolved by the source."""

    message: registry_pb2.ModelVersion
    location: str


class Reader(Protocol):
    """Reads an MLflow installation without writing to it.

    All ids and times are those of the source. Entities that are changed while they are read may be
    yielded twice.
    """

    name: str
    """Default name of the origin: the address without credentials."""

    def experiments(self) -> Iterator[tracking_pb2.Experiment]:
        """Yield every experiment, including deleted ones."""

    def runs(self, experiment_id: str) -> Iterator[tracking_pb2.Run]:
        """Yield every run of an experiment by start time, including deleted ones."""

    def history(self, run_id: str, key: str) -> Iterator[tracking_pb2.Metric]:
        """Yield every point of a metric by (timestamp, step, value)."""

    def logged_models(self, experiment_id: str) -> Iterator[tracking_pb2.LoggedModel]:
        """Yield the logged models of an experiment with all points of their metrics."""

    def registered_models(self) -> Iterator[registry_pb2.RegisteredModel]:
        """Yield every registered model with its aliases, without prompts."""

    def versions(self, name: str) -> Iterator[SourceVersion]:
        """Yield the versions of a registered model, by number."""

    def next_version(self, name: str) -> int:
        """Return the number of the next version; 0 if the source does not report it."""

    def files(self, tree: Tree) -> Iterator[SourceFile]:
        """Yield the files of a tree.

        Raises:
            Unreadable: The tree cannot be listed.
        """

    def fetch(self, tree: Tree, path: str, target: Path) -> None:
        """Copy a file of a tree to a local path, whose folder exists.

        Raises:
            Unreadable: The file cannot be read.
        """

    def left_out(self) -> list[str]:
        """Return a sentence for each kind of data of the source that is not yielded."""
