"""Runs and the items they log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import Any, ClassVar, Self

from modelyard.entities.entity import AS_TEXT, Entity


class RunStatus(IntEnum):
    """State of a run."""

    RUNNING = 1
    SCHEDULED = 2
    FINISHED = 3
    FAILED = 4
    KILLED = 5

    @staticmethod
    def to_string(status: int) -> str:
        return RunStatus(status).name

    @staticmethod
    def from_string(name: str) -> int:
        return RunStatus[name]

    @staticmethod
    def is_terminated(status: int) -> bool:
        return status in {RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED}


@dataclass(frozen=True, slots=True, repr=False)
class Metric(Entity):
    """One point of a metric's curve.

    Attributes:
        timestamp: Time of the point, milliseconds of Unix time.
        step: Position of the point on its curve.
    """

    _SHOWN: ClassVar = ("key", "value", "step", "timestamp")

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Param(Entity):
    """A param; a value of another type is logged as text."""

    key: str
    value: str = field(metadata={AS_TEXT: True})


@dataclass(frozen=True, slots=True, repr=False)
class RunTag(Entity):
    """A tag; a value of another type is logged as text."""

    key: str
    value: str = field(metadata={AS_TEXT: True})


@dataclass(frozen=True, slots=True, repr=False)
class InputTag(Entity):
    key: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class Dataset(Entity):
    _SHOWN: ClassVar = ("name", "digest", "source_type")

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class DatasetInput(Entity):
    dataset: Dataset
    tags: list[InputTag] = field(default_factory=list)


@dataclass(frozen=True, slots=True, repr=False)
class RunInfo(Entity):
    """Identity and state of a run.

    Attributes:
        status: Name of a `RunStatus`.
        end_time: End of the run, milliseconds of Unix time; None while it is running.
        lifecycle_stage: "active" or "deleted".
        last_heartbeat_time: Last sign of life, milliseconds of Unix time; None if the run's process
            sends no heartbeats.
        lost_since: Time since which a running run has given no sign of life for two minutes,
            milliseconds of Unix time; None for any other run.
    """

    _SHOWN: ClassVar = ("run_id", "run_name", "status", "experiment_id")

    run_id: str
    experiment_id: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None
    lifecycle_stage: str
    artifact_uri: str
    run_name: str
    last_heartbeat_time: int | None = None
    lost_since: int | None = None

    @property
    def run_uuid(self) -> str:
        return self.run_id


@dataclass(frozen=True, slots=True, repr=False)
class RunData(Entity):
    """Latest value of each metric, all params and all tags."""

    _SHOWN: ClassVar = ("metrics", "params")

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, repr=False)
class LoggedModelInput(Entity):
    model_id: str


@dataclass(frozen=True, slots=True, repr=False)
class LoggedModelOutput(Entity):
    model_id: str
    step: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class RunInputs(Entity):
    dataset_inputs: list[DatasetInput] = field(default_factory=list)
    model_inputs: list[LoggedModelInput] = field(default_factory=list)


@dataclass(frozen=True, slots=True, repr=False)
class RunOutputs(Entity):
    model_outputs: list[LoggedModelOutput] = field(default_factory=list)


@dataclass(frozen=True, repr=False)
class Run(Entity):
    """One execution of training or evaluation code."""

    _SHOWN: ClassVar = ("info.run_id", "info.run_name", "info.status", "info.experiment_id")

    info: RunInfo
    data: RunData
    inputs: RunInputs = field(default_factory=RunInputs)
    outputs: RunOutputs = field(default_factory=RunOutputs)
    etag: str = ""

    @classmethod
    def later(cls, make: Callable[[str], Any]) -> Self:
        """Return a run whose parts are made when they are first read.

        Args:
            make: Returns the value of the attribute with a name.
        """
        run = object.__new__(cls)
        run.__dict__[_MAKE] = make
        return run

    def __getstate__(self) -> dict[str, Any]:
        return dict(self)

    def to_dictionary(self) -> dict[str, Any]:
        parts = {"info": self.info, "data": self.data, "inputs": self.inputs}
        return {name: part.to_dictionary() for name, part in parts.items()}


_MAKE = "_make"


class _Part:
    """An attribute of `Run.later`, made when it is first read; then it hides this descriptor."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, run: Run | None, _kind: type[Run]) -> Any:
        make = None if run is None else vars(run).get(_MAKE)
        if make is None:
            raise AttributeError(self._name)
        # Of threads that read it at once, all get the same.
        return vars(run).setdefault(self._name, make(self._name))


for _field in fields(Run):
    setattr(Run, _field.name, _Part(_field.name))
