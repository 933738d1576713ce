"""Failures as the HTTP edge answers them: MLflow's body, and one table of statuses."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

import orjson

from modelyard_gateway.http import Response
from modelyard_kit import errors

STATUS = {
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    # MLflow's clients retry a 5xx and lose its message; a definite refusal is a 4xx.
    "INVALID_STATE": 400,
    "FEATURE_DISABLED": 400,
    "DATA_LOSS": 422,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ABORTED": 409,
    # What does not pass by itself, as a full disk: of the 5xx one that is not retried.
    "RESOURCE_EXHAUSTED": 507,
    "CANCELLED": 499,
    "INTERNAL_ERROR": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""HTTP status by the reason of an error; the contract lists the reasons."""
_TOO_MANY_REQUESTS = 429
_AUTHENTICATE = {"www-authenticate": 'Bearer realm="modelyard"'}


class HttpError(Exception):
    """A refusal that only HTTP knows, such as an unknown route.

    Args:
        status: The HTTP status.
        error_code: MLflow's name of the failure.
        message: What was wrong, and what would be right.
        headers: Sent with it.
    """

    def __init__(
        self,
        status: int,
        error_code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code
        self.message = message
        self.headers = dict(headers or {})


def response(error: HttpError | errors.Error, request_id: str) -> Response:
    """Return the answer to a refused request."""
    if isinstance(error, HttpError):
        return _response(error.status, error.error_code, error.message, request_id, error.headers)
    return _response(_status(error), error.reason, error.message, request_id, _headers(error))


def _status(error: errors.Error) -> int:
    passes = isinstance(error, errors.ResourceExhausted) and error.retry_after_s is not None
    return _TOO_MANY_REQUESTS if passes else STATUS[error.reason]


def _headers(error: errors.Error) -> dict[str, str]:
    """Return what an answer says besides: what to do about it."""
    if isinstance(error, errors.Unauthenticated):
        return _AUTHENTICATE
    again_s = error.retry_after_s
    if isinstance(error, errors.Unavailable):
        again_s = again_s or 1
    return {} if again_s is None else {"retry-after": str(ceil(again_s))}


def internal(request_id: str) -> Response:
    """Return the answer after a bug, whose traceback only the log has."""
    message = f"internal error (request id {request_id})"
    return _response(STATUS["INTERNAL_ERROR"], "INTERNAL_ERROR", message, request_id, {})


def _response(
    status: int, error_code: str, message: str, request_id: str, headers: dict[str, str]
) -> Response:
    body = {"error_code": error_code, "message": message, "request_id": request_id}
    return Response(status, orjson.dumps(body), {"content-type": "application/json", **headers})
