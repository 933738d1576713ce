"""Where runs, experiments and logged models stand."""

from __future__ import annotations

from enum import StrEnum

from modelyard_kit.errors import InvalidArgument


class Lifecycle(StrEnum):
    ACTIVE = "active"
    DELETED = "deleted"


class View(StrEnum):
    """Which resources a search looks at."""

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
    """Where the upload of a logged model stands; its values are what filters compare with."""

    PENDING = "PENDING"
    READY = "READY"
    FAILED = "FAILED"

    @classmethod
    def final(cls, status: ModelStatus) -> ModelStatus:
        """Return a status that a model may be finalized with.

        Raises:
            InvalidArgument: The status is PENDING.
        """
        if status is cls.PENDING:
            raise InvalidArgument(
                "A logged model is finalized with the status LOGGED_MODEL_READY or "
                "LOGGED_MODEL_UPLOAD_FAILED, not LOGGED_MODEL_PENDING."
            )
        return status
