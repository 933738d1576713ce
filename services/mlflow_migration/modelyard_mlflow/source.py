"""What is read from an MLflow installation, in the contract's messages: the nouns are MLflow's."""

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
    """Files of the origin cannot be had; the message says which, why, and what would help."""


class Unreachable(Exception):
    """The origin itself, or the server to write to, cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Files that belong together at the origin.

    Args:
        uri: Where they are, e.g. `mlflow-artifacts:/1/<run>/artifacts` or `s3://…`.
        run_id: The run whose files they are, if they are one's.
        model_id: The logged model whose files they are, if they are one's.
    """

    uri: str
    run_id: str = ""
    model_id: str = ""


@dataclass(frozen=True, slots=True)
class OriginFile:
    """A file of a tree; its path is relative to the tree's root."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class OriginVersion:
    """A registered version, and the URI of its bytes as the origin resolves it."""

    message: registry_pb2.ModelVersion
    location: str


class Reader(Protocol):
    """Reads an MLflow installation, and never writes to it.

    All ids and times are the origin's. Whatever is there twice, because somebody writes meanwhile,
    may be yielded twice.
    """

    name: str
    """Names the origin where the caller gives no name; without credentials."""

    def experiments(self) -> Iterator[tracking_pb2.Experiment]:
        """Yield every experiment, deleted ones too."""

    def runs(self, experiment_id: str) -> Iterator[tracking_pb2.Run]:
        """Yield every run of an experiment by start time, deleted ones too."""

    def history(self, run_id: str, key: str) -> Iterator[tracking_pb2.Metric]:
        """Yield every point of a metric by (timestamp, step, value)."""

    def logged_models(self, experiment_id: str) -> Iterator[tracking_pb2.LoggedModel]:
        """Yield the logged models of an experiment with all points of their metrics."""

    def registered_models(self) -> Iterator[registry_pb2.RegisteredModel]:
        """Yield every registered model with its aliases; prompts are none."""

    def versions(self, name: str) -> Iterator[OriginVersion]:
        """Yield the versions of a registered model by number."""

    def next_version(self, name: str) -> int:
        """Return the number the next version would get, or 0 if the origin does not tell."""

    def files(self, tree: Tree) -> Iterator[OriginFile]:
        """Yield the files of a tree.

        Raises:
            Unreadable: The tree cannot be listed.
        """

    def fetch(self, tree: Tree, path: str, target: Path) -> None:
        """Bring a file of a tree to a path of this machine, whose folder exists.

        Raises:
            Unreadable: It cannot be read.
        """

    def left_out(self) -> list[str]:
        """Say what the origin has and this does not yield, a sentence each."""
