"""States of runs, experiments and logged models."""

from __future__ import annotations

from enum import StrEnum

from modelyard_kit.errors import InvalidArgument


class Lifecycle(StrEnum):
    ACTIVE = "active"
    DELETED = "deleted"
    PURGED = "purged"
    """Does not exist any more for any caller; its rows are being removed."""


class View(StrEnum):
    """The lifecycle stages that a search includes."""

    ACTIVE_ONLY = "ACTIVE_ONLY"
    DELETED_ONLY = "DELETED_ONLY"
    ALL = "ALL"

    @property
    def stages(self) -> tuple[Lifecycle, ...]:
        if self is View.ALL:
            return (Lifecycle.ACTIVE, Lifecycle.DELETED)
        return (Lifecycle.ACTIVE if self is View.ACTIVE_ONLY else Lifecycle.DELETED,)


class RunStatus(StrEnum):
    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class ModelStatus(StrEnum):
    """State of a logged model's upload; filters compare with these values."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"

    @classmethod
    def final(cls, status: ModelStatus) -> ModelStatus:
        """Check a status that a model is finalized with, and return it.

        Raises:
            InvalidArgument: The status is PENDING.
        """
        if status is cls.PENDING:
            raise InvalidArgument(
                "A logged model cannot be finalized with the status LOGGED_MODEL_PENDING; expected "
                "LOGGED_MODEL_READY or LOGGED_MODEL_UPLOAD_FAILED."
            )
        return status
