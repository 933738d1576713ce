"""Interceptors of every RPC, outermost first: access log, errors, token, permission, validation.

They are wrapped around a method once, when it is mounted, instead of being looked up per call. Long
texts are truncated before the validation, if the reply has a field for warnings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from prometheus_client import Histogram
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit import errors
from modelyard_kit.auth import grants
from modelyard_kit.observability import tracing
from modelyard_kit.observability.metrics import rpc_duration, rpc_inflight
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.caller import DEFAULT_DEADLINE_S, Caller, caller
from modelyard_kit.rpc.head import Head, head
from modelyard_kit.rpc.truncation import truncate
from modelyard_kit.rpc.validation import validate

logger = logging.getLogger(__name__)

Behavior = Callable[[Any, grpc.ServicerContext], Any]
_MAX_ACTOR_LENGTH = 128
_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
"""Codes that mark the span of a trace as a failure of the server."""
_POLLS = {"InspectObjects", "ListTokenChecks"}
"""RPCs that services call every few seconds; at INFO they would fill the log of an idle service."""


def wrap(
    behavior: Behavior,
    method: MethodDescriptor,
    needed: Permission,
    token: str | None,
    api_tokens: grants.ApiTokens | None = None,
) -> Behavior:
    """Return `behavior` with all interceptors around it.

    The result takes the serialized request, so that a parsing error is reported like any other, and
    returns the serialized reply.

    Args:
        behavior: Takes the request as a message, or an iterator of messages if the client streams.
        method: RPC that `behavior` implements.
        needed: Permission that callers need.
        token: The service token; None for no authentication.
        api_tokens: Identifies API tokens; None to accept the service token only.
    """
    mounted = _Mounted(method)
    kind, warns = mounted.kind, "warnings" in method.output_type.fields_by_name

    def require(authorization: str) -> None:
        grants.require(grants.identify(authorization, token, api_tokens), method, needed)

    def unary(data: bytes, context: grpc.ServicerContext) -> Any:
        with _Exchange(mounted, context, len(data)) as exchange:
            if grants.PERMISSION_ONLY in exchange.call.metadata.items():
                return b""
            request = _parsed(kind, data)
            warnings = truncate(request) if warns else []
            validate(request)
            answered = behavior(request, context)
            if warnings:
                answered.warnings.extend(warnings)
            return _serialized(answered, exchange)

    def stream(data: bytes, context: grpc.ServicerContext) -> Iterator[Any]:
        with _Exchange(mounted, context, len(data)) as exchange:
            yield from _sent(behavior(_received(kind, data), context), exchange, require)

    def both_stream(parts: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        with _Exchange(mounted, context, 0) as exchange:
            requests = _all_received(kind, parts, exchange)
            yield from _sent(behavior(requests, context), exchange, require)

    if method.client_streaming:
        return both_stream
    return stream if method.server_streaming else unary


def _received(kind: type[Message], data: bytes) -> Message:
    request = _parsed(kind, data)
    validate(request)
    return request


def _parsed(kind: type[Message], data: bytes) -> Message:
    try:
        return kind.FromString(data)
    except DecodeError:
        raise errors.InvalidArgument(
            f"The request is not a {kind.DESCRIPTOR.full_name}: it cannot be parsed."
        ) from None


def _all_received(
    kind: type[Message], parts: Iterator[bytes], exchange: _Exchange
) -> Iterator[Message]:
    for data in parts:
        exchange.received_bytes += len(data)
        yield _received(kind, data)


def _sent(
    messages: Iterator[Message], exchange: _Exchange, require: Callable[[str], None]
) -> Iterator[bytes]:
    authorization = caller.get().authorization
    for message in messages:
        require(authorization)  # the token may expire or be revoked while the stream is open
        yield _serialized(message, exchange)


def _serialized(message: Message, exchange: _Exchange) -> bytes:
    data = message.SerializeToString()
    exchange.sent_bytes += len(data)
    return data


class _Mounted:
    """A method with what each of its calls needs, found once.

    Args:
        method: The RPC.

    Attributes:
        kind: Type of the requests.
        inflight: Gauge of its service.
        name: Name of the spans.
        attributes: Attributes of the spans.
    """

    def __init__(self, method: MethodDescriptor) -> None:
        service = method.containing_service
        self.method = method
        self.kind = GetMessageClass(method.input_type)
        self.inflight = rpc_inflight.labels(service.name)
        self.name = f"{service.full_name}/{method.name}"
        self.attributes = {"rpc.system.name": "grpc", "rpc.method": self.name}
        self._durations: dict[str, Histogram] = {}

    def observe(self, code: str, seconds: float) -> None:
        """Measure a call that has ended."""
        duration = self._durations.get(code)
        if duration is None:
            method = self.method
            duration = rpc_duration.labels(method.containing_service.name, method.name, code)
            self._durations[code] = duration
        duration.observe(seconds)


class _Exchange:
    """A call, from its request to its log line, metrics and span.

    Args:
        mounted: The method.
        context: The call.
        received_bytes: Size of the request.
    """

    __slots__ = (
        "_context",
        "_mounted",
        "_span",
        "_started",
        "call",
        "received_bytes",
        "sent_bytes",
    )

    def __init__(
        self, mounted: _Mounted, context: grpc.ServicerContext, received_bytes: int
    ) -> None:
        self._mounted = mounted
        self._context = context
        self.received_bytes = received_bytes
        self.sent_bytes = 0

    def __enter__(self) -> Self:
        mounted = self._mounted
        call = self.call = head.get()
        traceparent = call.metadata.get(tracing.HEADER, "")
        self._span = tracing.Span(traceparent, mounted.name, mounted.attributes)
        # The next call on this thread sets its own.
        caller.set(_caller(call, self._context, self._span.traceparent))
        mounted.inflight.inc()
        self._started = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, Exception):  # every failure becomes a status, here and only here
                self.call.note_denial(error)
                _abort(self._context, error, self.call.method, self.call.request_id)
        finally:
            self._end(time.monotonic() - self._started)

    def _end(self, seconds: float) -> None:
        call = self.call
        ended = self._context.code()  # type: ignore[attr-defined]  # missing from the stubs
        if ended is not None:
            code = ended.name
        else:
            code = "OK" if self._context.is_active() else "CANCELLED"
        self._mounted.inflight.dec()
        self._mounted.observe(code, seconds)
        self._span.end({"rpc.response.status_code": code}, failed=code in _FAULTS)
        if logger.isEnabledFor(_level(call.method, code)):
            log_call(
                call.method,
                code,
                seconds,
                request=call.request_id,
                trace=self._span.trace_id,
                principal=call.principal,
                received_bytes=self.received_bytes,
                sent_bytes=self.sent_bytes,
            )


def _caller(call: Head, context: grpc.ServicerContext, traceparent: str) -> Caller:
    remaining = context.time_remaining()
    # Calls without a deadline report a time far in the future, or None.
    limit = DEFAULT_DEADLINE_S if remaining is None else min(remaining, 3600.0)
    grant = call.admitted
    return Caller(
        method=call.method,
        actor=grant.name
        or call.metadata.get("x-modelyard-user", "")[:_MAX_ACTOR_LENGTH]
        or grant.principal,
        grant=grant,
        request_id=call.request_id,
        idempotency_key=call.metadata.get("idempotency-key", ""),
        authorization=call.metadata.get("authorization", ""),
        deadline=time.monotonic() + limit,
        traceparent=traceparent,
    )


def _abort(
    context: grpc.ServicerContext, error: Exception, method: MethodDescriptor, request_id: str
) -> NoReturn:
    if isinstance(error, errors.Error) and type(error) in grpc_errors.CODES:
        grpc_errors.abort(context, error, request_id)
    if isinstance(error, StaleDataError):
        stale = errors.Aborted(
            "Another transaction changed this first; nothing was written. Read it again, then "
            "retry."
        )
        grpc_errors.abort(context, stale, request_id)
    logger.error(
        "unhandled error", exc_info=error, extra={"method": method.full_name, "request": request_id}
    )
    if isinstance(error, (OperationalError, PoolTimeoutError)):
        down = errors.Unavailable(f"The database failed (request id {request_id}). Try again.")
        grpc_errors.abort(context, down, request_id)
    grpc_errors.abort_internal(context, request_id)


def log_call(method: MethodDescriptor, code: str, seconds: float, **fields: object) -> None:
    """Write the line of a call that has ended."""
    logger.log(
        _level(method, code),
        "rpc",
        extra={
            "service": method.containing_service.name,
            "method": method.name,
            "code": code,
            "ms": round(seconds * 1000, 1),
            **fields,
        },
    )


def _level(method: MethodDescriptor, code: str) -> int:
    return logging.DEBUG if code == "OK" and method.name in _POLLS else logging.INFO
