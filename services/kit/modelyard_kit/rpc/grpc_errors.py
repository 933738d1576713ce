"""Errors of `modelyard_kit.errors` to gRPC statuses and back: the one place that knows both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from modelyard.api.errors.v1 import errors_pb2
from modelyard_kit import errors

DOMAIN = "modelyard"
DETAILS_KEY = "grpc-status-details-bin"
_ERROR_INFO_URL = "type.googleapis.com/google.rpc.ErrorInfo"
_RETRY_INFO_URL = "type.googleapis.com/google.rpc.RetryInfo"
CODES: dict[type[errors.Error], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.FeatureDisabled: grpc.StatusCode.UNIMPLEMENTED,
    errors.Aborted: grpc.StatusCode.ABORTED,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
    errors.OutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
}
_MAX_MESSAGE_BYTES = 1_200  # it travels twice, once with three bytes for each that is not ASCII
_MAX_VALUE_BYTES = 200
_AGAIN_AFTER_S = 1.0
_ENDED = (grpc.Call, grpc.aio.AioRpcError)
"""Errors that say how a call ended."""
_UNREACHED = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "errors resolving",
    "DNS resolution failed",
)
"""In what gRPC says of a call for which it had no connection."""
_ERRORS = {error.reason: error for error in CODES}


def abort(context: grpc.ServicerContext, error: errors.Error, request_id: str) -> NoReturn:
    """End the call with the status of `error`."""
    again_s = error.retry_after_s
    end(
        *(context, CODES[type(error)], error.reason, error.message, request_id, error.metadata),
        details=() if again_s is None else (_retry_info(again_s),),
    )


def abort_internal(context: grpc.ServicerContext, request_id: str) -> NoReturn:
    """End the call after a bug, whose traceback only the log has."""
    message = f"internal error (request id {request_id})"
    end(context, grpc.StatusCode.INTERNAL, "INTERNAL_ERROR", message, request_id, {})


def end(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    reason: str,
    message: str,
    request_id: str,
    metadata: dict[str, str],
    details: Sequence[AnyMessage] = (),
) -> NoReturn:
    message = _cut(message, _MAX_MESSAGE_BYTES)
    given = {key: _cut(value, _MAX_VALUE_BYTES) for key, value in metadata.items()}
    info = errors_pb2.ErrorInfo(
        reason=reason, domain=DOMAIN, metadata={**given, "request_id": request_id}
    )
    detail = AnyMessage(type_url=_ERROR_INFO_URL, value=info.SerializeToString())
    status = errors_pb2.Status(code=code.value[0], message=message, details=[detail, *details])
    context.set_trailing_metadata(
        (("x-request-id", request_id), (DETAILS_KEY, status.SerializeToString()))
    )
    context.abort(code, message)


def _cut(text: str, limit_bytes: int) -> str:
    """Shorten what quotes a long value: larger than 8 KiB, the end of a call would not arrive."""
    data = text.encode()
    if len(data) <= limit_bytes:
        return text
    return data[:limit_bytes].decode(errors="ignore") + "…"


def _retry_info(seconds: float) -> AnyMessage:
    info = errors_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(int(seconds * 1000))
    return AnyMessage(type_url=_RETRY_INFO_URL, value=info.SerializeToString())


def from_rpc(error: grpc.RpcError, neighbour: str) -> errors.Error:
    """Return the error that a neighbour raised, as if it had been raised here.

    A bug of the neighbour, and a failure of the transport itself, without our details, becomes
    `Unavailable` (or `DeadlineExceeded`, or `ResourceExhausted`) that names the neighbour and
    nothing else of it.
    """
    code = error.code() if isinstance(error, _ENDED) else grpc.StatusCode.UNKNOWN
    info = error_info(error)
    if info is not None and info.reason in _ERRORS:
        metadata = {key: value for key, value in info.metadata.items() if key != "request_id"}
        raised = _ERRORS[info.reason](str(error.details()), **metadata)
        raised.retry_after_s = _retry_after_s(error)
        return raised
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineExceeded(f"{neighbour} did not answer in time.")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        busy = errors.ResourceExhausted(f"{neighbour} has too much to do; try again.")
        return busy.after(_AGAIN_AFTER_S)
    if code is grpc.StatusCode.CANCELLED:
        return errors.Cancelled(f"The call to {neighbour} was cancelled.")
    # Not that nothing was written: an earlier attempt of a call that is retried may have arrived.
    if any(text in str(error) for text in _UNREACHED):
        return errors.Unavailable(f"{neighbour} cannot be reached. Try again.")
    what = "broke off" if code is grpc.StatusCode.UNAVAILABLE else "failed"
    return errors.Unavailable(
        f"{neighbour} {what} before it answered: what was asked for may have been done. Look "
        "before you try again, unless it may be done twice."
    )


def error_info(error: grpc.RpcError) -> errors_pb2.ErrorInfo | None:
    """Return the `ErrorInfo` of a failed call, or None when it carries none of ours."""
    try:
        found = _detail(error, _ERROR_INFO_URL)
        info = None if found is None else errors_pb2.ErrorInfo.FromString(found)
    except DecodeError:
        return None
    return info if info is not None and info.domain == DOMAIN else None


def _retry_after_s(error: grpc.RpcError) -> float | None:
    """Return when a call that carries our details may be sent again."""
    found = _detail(error, _RETRY_INFO_URL)
    if found is None:
        return None
    return errors_pb2.RetryInfo.FromString(found).retry_delay.ToMilliseconds() / 1000


def _detail(error: grpc.RpcError, type_url: str) -> bytes | None:
    if not isinstance(error, _ENDED):
        return None
    trailing: Any = error.trailing_metadata() or ()
    for key, value in trailing:
        if key == DETAILS_KEY:
            status = errors_pb2.Status.FromString(value)
            return next((d.value for d in status.details if d.type_url == type_url), None)
    return None
