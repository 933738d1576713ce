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

import json
from typing import ClassVar

from modelyard._drop_in import missing_attribute
from modelyard.redaction import redacted_text

__getattr__ = missing_attribute(__name__)
# The statuses of the server's answers over HTTP; those of other codes are 500.
_HTTP_STATUS = {
    "ABORTED": 409,
    "CANCELLED": 499,
    "DATA_LOSS": 422,
    "DEADLINE_EXCEEDED": 504,
    "FEATURE_DISABLED": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "INVALID_STATE": 400,
    "NOT_IMPLEMENTED": 501,
    "OUT_OF_RANGE": 400,
    "PERMISSION_DENIED": 403,
    "RESOURCE_ALREADY_EXISTS": 400,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "RESOURCE_EXHAUSTED": 507,
    "TEMPORARILY_UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}
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
        message: The problem, the value at fault and what is expected; secrets of addresses in it
            are not shown.
        error_code: MLflow's code, such as `INVALID_PARAMETER_VALUE` or `RESOURCE_DOES_NOT_EXIST`;
            the class's code by default.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str, error_code: str | None = None) -> None:
        self.message = redacted_text(message)
        super().__init__(self.message)
        self.error_code = error_code or self.code

    def get_http_status_code(self) -> int:
        """Return the status with which the server answers such an error over HTTP."""
        return _HTTP_STATUS.get(self.error_code, 500)

    def serialize_as_json(self) -> str:
        """Return error code and message as a JSON object, as in answers over HTTP."""
        return json.dumps({"error_code": self.error_code, "message": self.message})


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
