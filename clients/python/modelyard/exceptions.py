"""Exceptions that the client raises.

ModelyardException (also MlflowException, RestException)
├── InvalidParameter     the request can never succeed
├── NotFound             no such resource
├── AlreadyExists        the name is taken
├── InvalidState         not allowed in the resource's present state
├── Aborted              a concurrent write came first: read again, then retry
├── Unauthenticated      no valid token
├── PermissionDenied     the token does not allow this
├── ResourceExhausted    over a limit; nothing was started
├── Unavailable          the server, or one it needs, cannot be reached
├── DeadlineExceeded     no answer in time; a change may or may not have happened
├── Unimplemented        the server does not have this call
├── DataLoss             bytes differ from the digest they are registered under
├── OutOfRange           a watch resumed after a revision that is not in the history
└── Cancelled            the call was cancelled
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "DataLoss",
    "DeadlineExceeded",
    "FeatureDisabled",
    "InvalidParameter",
    "InvalidState",
    "MlflowException",
    "ModelyardException",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "RestException",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]


def __dir__() -> list[str]:
    return __all__


class ModelyardException(Exception):
    """A refusal, with the error code of MLflow's REST API.

    Args:
        message: The problem, the value at fault and what is expected.
        error_code: MLflow's code, such as `INVALID_PARAMETER_VALUE` or `RESOURCE_DOES_NOT_EXIST`;
            the class's code by default.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str, error_code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code or self.code


MlflowException = RestException = ModelyardException


class InvalidParameter(ModelyardException):
    code = "INVALID_PARAMETER_VALUE"


class NotFound(ModelyardException):
    code = "RESOURCE_DOES_NOT_EXIST"


class AlreadyExists(ModelyardException):
    code = "RESOURCE_ALREADY_EXISTS"


class InvalidState(ModelyardException):
    code = "INVALID_STATE"


class FeatureDisabled(ModelyardException):
    code = "FEATURE_DISABLED"


class Aborted(ModelyardException):
    code = "ABORTED"


class Unauthenticated(ModelyardException):
    code = "UNAUTHENTICATED"


class PermissionDenied(ModelyardException):
    code = "PERMISSION_DENIED"


class ResourceExhausted(ModelyardException):
    code = "RESOURCE_EXHAUSTED"


class Unavailable(ModelyardException):
    code = "TEMPORARILY_UNAVAILABLE"


class DeadlineExceeded(ModelyardException):
    code = "DEADLINE_EXCEEDED"


class Unimplemented(ModelyardException):
    code = "NOT_IMPLEMENTED"


class DataLoss(ModelyardException):
    code = "DATA_LOSS"


class OutOfRange(ModelyardException):
    code = "OUT_OF_RANGE"


class Cancelled(ModelyardException):
    code = "CANCELLED"
