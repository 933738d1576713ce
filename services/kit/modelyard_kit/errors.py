"""Every failure a caller may see.

Anything else that escapes an operation is a bug: it is logged, and the caller reads
"internal error" and a request id.

    errors.Error
    ├── InvalidArgument      the request can never succeed
    ├── NotFound             no such resource
    ├── AlreadyExists        the name is taken
    ├── FailedPrecondition   not in this state
    ├── FeatureDisabled      a feature of MLflow that this server does not have
    ├── Aborted              somebody else wrote first: read again, then retry
    ├── Unauthenticated      no valid token
    ├── PermissionDenied     the token does not allow this
    ├── ResourceExhausted    over a limit, or a disk is full; nothing was written
    ├── Unavailable          a neighbour cannot be reached or broke off, or the database is busy
    ├── DeadlineExceeded     the caller's time ran out
    ├── DataLoss             bytes differ from their digest
    ├── OutOfRange           a watch resumed after a revision that is not in the history
    ├── Unimplemented        in the contract, not built yet
    └── Cancelled            the caller went away
"""

from __future__ import annotations

from typing import ClassVar, Self


class Error(Exception):
    """A refusal with a reason.

    Args:
        message: What was wrong, with which value, and what would be right.
        metadata: What varies in the message, for machines.
    """

    reason: ClassVar[str]
    retry_after_s: float | None = None

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata

    def after(self, seconds: float) -> Self:
        """Tell the caller that nothing was started, and to try again after so many seconds."""
        self.retry_after_s = seconds
        return self


class InvalidArgument(Error):
    reason = "INVALID_PARAMETER_VALUE"


class NotFound(Error):
    reason = "RESOURCE_DOES_NOT_EXIST"


class AlreadyExists(Error):
    reason = "RESOURCE_ALREADY_EXISTS"


class FailedPrecondition(Error):
    reason = "INVALID_STATE"


class FeatureDisabled(Error):
    reason = "FEATURE_DISABLED"


class Aborted(Error):
    reason = "ABORTED"


class Unauthenticated(Error):
    reason = "UNAUTHENTICATED"


class PermissionDenied(Error):
    reason = "PERMISSION_DENIED"


class ResourceExhausted(Error):
    reason = "RESOURCE_EXHAUSTED"


class Unavailable(Error):
    reason = "TEMPORARILY_UNAVAILABLE"


class DeadlineExceeded(Error):
    reason = "DEADLINE_EXCEEDED"


class DataLoss(Error):
    reason = "DATA_LOSS"


class OutOfRange(Error):
    reason = "OUT_OF_RANGE"


class Unimplemented(Error):
    reason = "NOT_IMPLEMENTED"


class Cancelled(Error):
    reason = "CANCELLED"


def missing(field: str) -> InvalidArgument:
    """Return the refusal of a request that lacks a field, in the words MLflow's clients know."""
    return InvalidArgument(f"Missing value for required parameter '{field}'.", field=field)
