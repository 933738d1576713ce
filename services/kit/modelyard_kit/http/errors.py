"""Refusals over HTTP: one JSON shape, one table of statuses, and the words of each family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from starlette.responses import Response

from modelyard_kit import errors
from modelyard_kit.http.responses import JsonResponse

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


class Refusals:
    """How requests are refused in MLflow's words; a family of routes overrides what differs."""

    def of(self, error: errors.Error) -> HttpError:
        """Return the form over HTTP of an error that a service or the kit raised."""
        return HttpError(_status(error), error.reason, error.message, _headers(error))

    def no_route(self, path: str) -> HttpError:
        """Return the refusal of a path that nothing answers."""
        return HttpError(404, "ENDPOINT_NOT_FOUND", f"No such route: {path[:200]}")

    def wrong_method(self, method: str, path: str, allowed: Sequence[str]) -> HttpError:
        """Return the refusal of a method that a path does not answer."""
        known = ", ".join(allowed)
        message = f"{path[:200]} does not answer {method[:20]}, use {known}"
        return HttpError(405, "BAD_REQUEST", message, {"allow": known})

    def broken_off(self) -> HttpError:
        """Return the answer to a body that stopped, to a client that is probably gone."""
        return self.of(errors.Cancelled("The body stopped before its end; nothing was kept."))

    def internal(self, request_id: str) -> HttpError:
        """Return the answer after a bug, whose traceback only the log has."""
        message = f"internal error (request id {request_id})"
        return HttpError(STATUS["INTERNAL_ERROR"], "INTERNAL_ERROR", message)


def answer(refused: HttpError, request_id: str) -> Response:
    """Return the answer to a refused request: MLflow's JSON with the request id."""
    body = {"error_code": refused.error_code, "message": refused.message, "request_id": request_id}
    return JsonResponse(body, refused.status, refused.headers)


def _status(error: errors.Error) -> int:
    passes = isinstance(error, errors.ResourceExhausted) and error.retry_after_s is not None
    return _TOO_MANY_REQUESTS if passes else STATUS[error.reason]


def _headers(error: errors.Error) -> dict[str, str]:
    """Return the headers that tell a client what to do next."""
    if isinstance(error, errors.Unauthenticated):
        return _AUTHENTICATE
    again_s = error.retry_after_s
    if isinstance(error, errors.Unavailable):
        again_s = again_s or 1
    return {} if again_s is None else {"retry-after": str(ceil(again_s))}
