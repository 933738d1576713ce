"""The errors of the platform: every failure that a caller may see.

Operations raise them. gRPC carries code, reason, message, metadata and retry delay to the caller
(`modelyard_kit.rpc.grpc_errors`), and a service that called another one raises the same error
again. HTTP answers with MLflow's JSON (`modelyard_kit.http.errors`). Causes and tracebacks stay in
the process. Any other exception is a bug: it is logged with its traceback, and the caller receives
"internal error" and a request id.

    errors.Error
    ├── InvalidArgument      the request is invalid, whatever the state of the server
    ├── NotFound             the resource does not exist, or is outside the token's scope
    ├── AlreadyExists        the name or id is taken
    ├── FailedPrecondition   the state of a resource or of the installation forbids the operation
    ├── FeatureDisabled      the request needs a feature of MLflow that this server does not have
    ├── Aborted              a concurrent change came first: read again, then retry
    ├── Unauthenticated      the call carries no valid token
    ├── PermissionDenied     the role or scope of the token does not allow the call
    ├── ResourceExhausted    a limit is reached or a disk is full; nothing was written
    ├── Unavailable          the database, the store or another service failed: retry
    ├── DeadlineExceeded     the call took longer than its deadline
    ├── DataLoss             stored bytes are missing or differ from their digest
    ├── OutOfRange           a watch resumes after a revision that is not in the history
    ├── Unimplemented        the RPC is in the contract but not built yet
    └── Cancelled            the caller cancelled the call or disconnected
"""

from __future__ import annotations

from typing import ClassVar, Self


class Error(Exception):
    """Base of the errors that a caller may see; only its subclasses are raised.

    Args:
        message: The problem, the offending value, and what is expected or what to do.
        metadata: Values that the message contains, by name, for programs.

    Attributes:
        reason: Stable name of the kind of error, the same over gRPC and HTTP.
        retry_after_s: Seconds to wait before a retry; None if the error does not tell.
    """

    reason: ClassVar[str]
    retry_after_s: float | None = None

    def __init__(self, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata

    def after(self, seconds: float) -> Self:
        """Return this error with a retry delay; for calls refused before any work was started."""
        self.retry_after_s = seconds
        return self


class InvalidArgument(Error):
    """The request is invalid, whatever the state of the server.

    The message names the field, its value and the expected form. Sending it again unchanged fails
    again.
    """

    reason = "INVALID_PARAMETER_VALUE"


class NotFound(Error):
    """The resource does not exist, was deleted, or is outside the scope of the caller's token."""

    reason = "RESOURCE_DOES_NOT_EXIST"


class AlreadyExists(Error):
    """The name or id is taken, possibly by a resource outside the scope of the caller's token."""

    reason = "RESOURCE_ALREADY_EXISTS"


class FailedPrecondition(Error):
    """The state of a resource, or of the installation, forbids the operation.

    The message names the state and how to change it. Retrying alone does not help.
    """

    reason = "INVALID_STATE"


class FeatureDisabled(Error):
    """The request needs a feature of MLflow that this server does not have, such as workspaces."""

    reason = "FEATURE_DISABLED"


class Aborted(Error):
    """A concurrent change came first; nothing was written.

    The caller reads the resource again, decides again, and retries the whole sequence.
    """

    reason = "ABORTED"


class Unauthenticated(Error):
    """The call carries no token, or one that is unknown, revoked or expired."""

    reason = "UNAUTHENTICATED"


class PermissionDenied(Error):
    """The token is valid, but its role or scope does not allow the call.

    The message names the permission or patterns and the roles that have the permission. An altered
    or expired signed URL is refused with this error too.
    """

    reason = "PERMISSION_DENIED"


class ResourceExhausted(Error):
    """A limit is reached, or a disk is full; nothing was written.

    With `retry_after_s` set, the server is overloaded and the call may be retried after that time;
    HTTP answers 429. Otherwise the limit does not pass by itself; HTTP answers 507.
    """

    reason = "RESOURCE_EXHAUSTED"


class Unavailable(Error):
    """The database, the artifact store or another service cannot be used now.

    The message tells whether nothing was written. Where the outcome is unknown, a call that is not
    idempotent is only retried with the same idempotency key.
    """

    reason = "TEMPORARILY_UNAVAILABLE"


class DeadlineExceeded(Error):
    """The deadline of the call passed before its work was done."""

    reason = "DEADLINE_EXCEEDED"


class DataLoss(Error):
    """Stored bytes are missing or differ from their digest; an operator has to repair them."""

    reason = "DATA_LOSS"


class OutOfRange(Error):
    """A watch resumes after a revision that is not in the history: read the state, watch anew."""

    reason = "OUT_OF_RANGE"


class Unimplemented(Error):
    """The RPC is in the contract, but this version does not implement it."""

    reason = "NOT_IMPLEMENTED"


class Cancelled(Error):
    """The caller cancelled the call or disconnected before its result was committed."""

    reason = "CANCELLED"


def missing(field: str) -> InvalidArgument:
    """Return the error for a missing required field, in the words that MLflow's clients expect."""
    return InvalidArgument(f"Missing value for required parameter '{field}'.", field=field)
