"""Errors over HTTP: their JSON form, their statuses, and the messages of each family of routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from starlette.responses import Response

from modelyard.redaction import redacted_text
from modelyard_kit import errors
from modelyard_kit.http.responses import JsonResponse

STATUS = {
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    # MLflow's clients retry a 5xx and drop its message, so a definite error is a 4xx.
    "INVALID_STATE": 400,
    "FEATURE_DISABLED": 400,
    "DATA_LOSS": 422,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ABORTED": 409,
    # For conditions that persist, such as a full disk: a 5xx that clients do not retry.
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
    """An error that exists only over HTTP, such as an unknown route.

    Args:
        status: HTTP status.
        error_code: MLflow's error code.
        message: The problem, and what is expected.
        headers: Additional headers of the response.
    """

    def __init__(
        self,
        status: int,
        error_code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.message = redacted_text(message)
        super().__init__(self.message)
        self.status = status
        self.error_code = error_code
        self.headers = dict(headers or {})


class Refusals:
    """Errors in MLflow's words; families of routes with other words override the methods."""

    def of(self, error: errors.Error) -> HttpError:
        """Return the HTTP form of an error that a service or the kit raised."""
        return HttpError(_status(error), error.reason, error.message, _headers(error))

    def no_route(self, path: str) -> HttpError:
        """Return the error for a path without a route."""
        return HttpError(404, "ENDPOINT_NOT_FOUND", f"No such route: {path[:200]}")

    def wrong_method(self, method: str, path: str, allowed: Sequence[str]) -> HttpError:
        """Return the error for a method that the route of a path does not support."""
        known = ", ".join(allowed)
        message = f"{path[:200]} does not answer {method[:20]}, use {known}"
        return HttpError(405, "BAD_REQUEST", message, {"allow": known})

    def broken_off(self) -> HttpError:
        """Return the error for an incomplete body; its client has probably disconnected."""
        return self.of(errors.Cancelled("The body ended before it was complete; nothing was kept."))

    def stalled(self) -> HttpError:
        """Return the error for a body that did not arrive in time."""
        message = "The body did not arrive in time; nothing was kept."
        return HttpError(408, "INVALID_PARAMETER_VALUE", message, {"connection": "close"})

    def internal(self, request_id: str) -> HttpError:
        """Return the error after a bug; its traceback is in the log only."""
        message = f"internal error (request id {request_id})"
        return HttpError(STATUS["INTERNAL_ERROR"], "INTERNAL_ERROR", message)


def answer(refused: HttpError, request_id: str) -> Response:
    """Return the response for an error: MLflow's JSON with the request id."""
    body = {"error_code": refused.error_code, "message": refused.message, "request_id": request_id}
    return JsonResponse(body, refused.status, refused.headers)


def _status(error: errors.Error) -> int:
    is_overload = isinstance(error, errors.ResourceExhausted) and error.retry_after_s is not None
    return _TOO_MANY_REQUESTS if is_overload else STATUS[error.reason]


def _headers(error: errors.Error) -> dict[str, str]:
    """Return the headers about authentication and retries."""
    if isinstance(error, errors.Unauthenticated):
        return _AUTHENTICATE
    delay_s = error.retry_after_s
    if isinstance(error, errors.Unavailable):
        delay_s = delay_s or 1
    return {} if delay_s is None else {"retry-after": str(ceil(delay_s))}
