"""Translation between `modelyard_kit.errors` and gRPC statuses, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError

from modelyard.api.errors.v1 import errors_pb2
from modelyard.redaction import redacted_text
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
_MAX_MESSAGE_BYTES = 1_200  # sent twice, once with each non-ASCII byte encoded as three
_MAX_VALUE_BYTES = 200
_RETRY_AFTER_S = 1.0
_ENDED = (grpc.Call, grpc.aio.AioRpcError)
"""Types of errors that have the status of a call."""
_UNREACHED = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "errors resolving",
    "DNS resolution failed",
)
"""Phrases of gRPC's messages about a call that was never sent."""
_ERRORS = {error.reason: error for error in CODES}


Status = tuple[grpc.StatusCode, str, tuple[tuple[str, str | bytes], ...]]
"""Code, message and trailing metadata of a call that has ended."""


def abort(context: grpc.ServicerContext, error: errors.Error, request_id: str) -> NoReturn:
    """End the call with the status of `error`."""
    _end(context, status_of(error, request_id))


def abort_internal(context: grpc.ServicerContext, request_id: str) -> NoReturn:
    """End the call after a bug; its traceback is in the log only."""
    message = f"internal error (request id {request_id})"
    _end(context, _status(grpc.StatusCode.INTERNAL, "INTERNAL_ERROR", message, request_id, {}))


def status_of(error: errors.Error, request_id: str) -> Status:
    """Return the status of `error`, for a call that is ended without its context."""
    delay_s = error.retry_after_s
    return _status(
        *(CODES[type(error)], error.reason, error.message, request_id, error.metadata),
        details=() if delay_s is None else (_retry_info(delay_s),),
    )


def _end(context: grpc.ServicerContext, status: Status) -> NoReturn:
    code, message, trailing = status
    context.set_trailing_metadata(trailing)
    context.abort(code, message)


def _status(
    code: grpc.StatusCode,
    reason: str,
    message: str,
    request_id: str,
    metadata: dict[str, str],
    details: Sequence[AnyMessage] = (),
) -> Status:
    """Return a status that carries our `ErrorInfo`.

    Args:
        code: gRPC status code.
        reason: Reason of `ErrorInfo`.
        message: Message for people, cut to 1200 bytes; without the secrets of addresses in it.
        request_id: Id of the request, added to the metadata.
        metadata: Metadata of `ErrorInfo`, each value cut to 200 bytes.
        details: Further details of the status.
    """
    message = _cut(redacted_text(message), _MAX_MESSAGE_BYTES)
    given = {key: _cut(redacted_text(text), _MAX_VALUE_BYTES) for key, text in metadata.items()}
    info = errors_pb2.ErrorInfo(
        reason=reason, domain=DOMAIN, metadata={**given, "request_id": request_id}
    )
    detail = AnyMessage(type_url=_ERROR_INFO_URL, value=info.SerializeToString())
    status = errors_pb2.Status(code=code.value[0], message=message, details=[detail, *details])
    return code, message, (("x-request-id", request_id), (DETAILS_KEY, status.SerializeToString()))


def _cut(text: str, limit_bytes: int) -> str:
    """Shorten a text: gRPC drops a status with more than 8 KiB of trailing metadata."""
    data = text.encode()
    if len(data) <= limit_bytes:
        return text
    return data[:limit_bytes].decode(errors="ignore") + "…"


def _retry_info(seconds: float) -> AnyMessage:
    info = errors_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(int(seconds * 1000))
    return AnyMessage(type_url=_RETRY_INFO_URL, value=info.SerializeToString())


def from_rpc(error: grpc.RpcError, service: str) -> errors.Error:
    """Return the error that the called service raised.

    A bug of that service, or a failure of the transport, has none of our details. It becomes
    `Unavailable`, `DeadlineExceeded`, `ResourceExhausted` or `Cancelled`, whose message names the
    service and nothing else of it.

    Args:
        error: Failure of the call.
        service: Name of the called service, for messages.
    """
    code = error.code() if isinstance(error, _ENDED) else grpc.StatusCode.UNKNOWN
    info = error_info(error)
    if info is not None and info.reason in _ERRORS:
        metadata = {key: value for key, value in info.metadata.items() if key != "request_id"}
        raised = _ERRORS[info.reason](str(error.details()), **metadata)
        raised.retry_after_s = _retry_after_s(error)
        return raised
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.DeadlineExceeded(f"{service} did not answer before the deadline.")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        overloaded = errors.ResourceExhausted(f"{service} is overloaded; retry.")
        return overloaded.after(_RETRY_AFTER_S)
    if code is grpc.StatusCode.CANCELLED:
        return errors.Cancelled(f"{service} did not answer: the call was cancelled.")
    # No claim that nothing was written: an earlier attempt of a retried call may have arrived.
    if any(text in str(error) for text in _UNREACHED):
        return errors.Unavailable(f"{service} cannot be reached. Try again.")
    failure = "disconnected" if code is grpc.StatusCode.UNAVAILABLE else "failed"
    return errors.Unavailable(
        f"{service} {failure} before it answered: the request may have been done. Check its "
        "outcome before retrying, unless it is safe to repeat."
    )


def error_info(error: grpc.RpcError) -> errors_pb2.ErrorInfo | None:
    """Return our `ErrorInfo` of a failed call, or None when it carries none."""
    try:
        found = _detail(error, _ERROR_INFO_URL)
        info = None if found is None else errors_pb2.ErrorInfo.FromString(found)
    except DecodeError:
        return None
    return info if info is not None and info.domain == DOMAIN else None


def _retry_after_s(error: grpc.RpcError) -> float | None:
    """Return the retry delay of a failed call in seconds, or None when it carries none."""
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
