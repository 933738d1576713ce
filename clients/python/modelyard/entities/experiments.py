"""Experiments."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from modelyard.entities.entity import Entity


class ViewType(IntEnum):
    """Lifecycle stages that a search covers."""

    ACTIVE_ONLY = 1
    DELETED_ONLY = 2
    ALL = 3


@dataclass(frozen=True, slots=True, repr=False)
class ExperimentTag(Entity):
    key: str
    value: str


@dataclass(frozen=True, slots=True, repr=False)
class Experiment(Entity):
    """A group of runs.

    Attributes:
        experiment_id: Decimal number as text; "0" is the experiment Default.
        lifecycle_stage: "active" or "deleted".
    """

    _SHOWN: ClassVar = ("experiment_id", "name", "lifecycle_stage")

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle_stage: str
    tags: dict[str, str] = field(default_factory=dict)
    creation_time: int | None = None
    last_update_time: int | None = None
    etag: str = ""
