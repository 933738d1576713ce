"""Logged models: models written by runs, registered or not."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from modelyard.entities.entity import Entity
from modelyard.entities.runs import Metric


class LoggedModelStatus(StrEnum):
    """State of the upload of a logged model."""

    UNSPECIFIED = "UNSPECIFIED"
    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, repr=False)
class LoggedModelParameter(Entity):
    key: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class LoggedModelTag(Entity):
    key: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class LoggedModel(Entity):
    """A model that a run wrote.

    Attributes:
        model_id: Id: "m-" and 32 hexadecimal digits.
        registrations: Names and versions under which the model is registered.
    """

    _SHOWN: ClassVar = ("model_id", "name", "status", "source_run_id")

    experiment_id: str
    model_id: str
    name: str
    artifact_location: str
    creation_timestamp: int
    last_updated_timestamp: int
    model_type: str | None = None
    source_run_id: str | None = None
    status: LoggedModelStatus = LoggedModelStatus.READY
    status_message: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    registrations: list[tuple[str, str]] = field(default_factory=list)

    @property
    def model_uri(self) -> str:
        return f"models:/{self.model_id}"
