"""Interceptors of every RPC, outermost first: access log, errors, token, permission, validation.

They are wrapped around a method once, when it is mounted, instead of being looked up per call. Long
texts are truncated before the validation, if the reply has a field for warnings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm.exc import StaleDataError

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit import errors
from modelyard_kit.auth import grants
from modelyard_kit.observability import request_ids, tracing
from modelyard_kit.observability.metrics import authz_denied, rpc_duration, rpc_inflight
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.calls import DEFAULT_DEADLINE_S, Caller, caller
from modelyard_kit.rpc.truncation import truncate
from modelyard_kit.rpc.validation import validate

logger = logging.getLogger(__name__)

Behavior = Callable[[Any, grpc.ServicerContext], Any]
Identify = Callable[[str], grants.Grant]
_MAX_ACTOR_LENGTH = 128
_READ = {"authorization", "idempotency-key", request_ids.HEADER, "x-modelyard-user", tracing.HEADER}
_FAULTS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
"""Codes that mark the span of a trace as a failure of the server."""
_POLLS = {"ListTokenChecks"}
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
    kind = GetMessageClass(method.input_type)
    warns = "warnings" in method.output_type.fields_by_name

    def identify(authorization: str) -> grants.Grant:
        grant = grants.identify(authorization, token, api_tokens)
        grants.require(grant, method, needed)
        return grant

    def unary(data: bytes, context: grpc.ServicerContext) -> Any:
        with _around(method, identify, context, len(data)) as exchange:
            if grants.PERMISSION_ONLY in context.invocation_metadata():
                return b""
            request = _parsed(kind, data)
            warnings = truncate(request) if warns else []
            validate(request)
            answered = behavior(request, context)
            if warnings:
                answered.warnings.extend(warnings)
            return _serialized(answered, exchange)

    def stream(data: bytes, context: grpc.ServicerContext) -> Iterator[Any]:
        with _around(method, identify, context, len(data)) as exchange:
            yield from _sent(behavior(_received(kind, data), context), exchange, identify)

    def both_stream(parts: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
        with _around(method, identify, context, 0) as exchange:
            requests = _all_received(kind, parts, exchange)
            yield from _sent(behavior(requests, context), exchange, identify)

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


def _sent(messages: Iterator[Message], exchange: _Exchange, identify: Identify) -> Iterator[bytes]:
    authorization = caller.get().authorization
    for message in messages:
        identify(authorization)  # the token may expire or be revoked while the stream is open
        yield _serialized(message, exchange)


def _serialized(message: Message, exchange: _Exchange) -> bytes:
    data = message.SerializeToString()
    exchange.sent_bytes += len(data)
    return data


@dataclass(slots=True)
class _Exchange:
    """Data about a call for its log line, metrics and span."""

    method: MethodDescriptor
    request_id: str
    span: tracing.Span
    received_bytes: int
    sent_bytes: int = 0
    principal: str = ""


@contextmanager
def _around(
    method: MethodDescriptor, identify: Identify, context: grpc.ServicerContext, received_bytes: int
) -> Iterator[_Exchange]:
    metadata: dict[str, Any] = {
        key: value for key, value in context.invocation_metadata() if key in _READ
    }
    request_id = request_ids.kept_or_new(metadata.get(request_ids.HEADER, ""))
    service = method.containing_service
    name = f"{service.full_name}/{method.name}"
    attributes = {"rpc.system.name": "grpc", "rpc.method": name}
    span = tracing.Span(str(metadata.get(tracing.HEADER, "")), name, attributes)
    exchange = _Exchange(method, request_id, span, received_bytes)
    inflight = rpc_inflight.labels(service.name)
    inflight.inc()
    started = time.monotonic()
    try:
        grant = identify(metadata.get("authorization", ""))
        exchange.principal = grant.name or grant.principal
        # The next call on this thread sets its own.
        caller.set(_caller(method, grant, metadata, request_id, context, span.traceparent))
        yield exchange
    except Exception as error:  # noqa: BLE001 - every failure becomes a status, here and only here
        if isinstance(error, errors.Unauthenticated | errors.PermissionDenied):
            _note_denial(method, error, metadata, request_id)
        _abort(context, error, method, request_id)
    finally:
        inflight.dec()
        _observe(exchange, context, time.monotonic() - started)


def _caller(
    method: MethodDescriptor,
    grant: grants.Grant,
    metadata: dict[str, Any],
    request_id: str,
    context: grpc.ServicerContext,
    traceparent: str,
) -> Caller:
    remaining = context.time_remaining()
    # Calls without a deadline report a time far in the future, or None.
    limit = DEFAULT_DEADLINE_S if remaining is None else min(remaining, 3600.0)
    return Caller(
        method=method,
        actor=grant.name
        or metadata.get("x-modelyard-user", "")[:_MAX_ACTOR_LENGTH]
        or grant.principal,
        grant=grant,
        request_id=request_id,
        idempotency_key=metadata.get("idempotency-key", ""),
        authorization=metadata.get("authorization", ""),
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


def _note_denial(
    method: MethodDescriptor, error: errors.Error, metadata: dict[str, Any], request_id: str
) -> None:
    authz_denied.labels(method.full_name, error.reason).inc()
    logger.warning(
        "denied",
        extra={"method": method.full_name, "reason": error.reason, "request": request_id}
        | {"token": grants.token_id(metadata.get("authorization", ""))},
    )


def _observe(exchange: _Exchange, context: grpc.ServicerContext, seconds: float) -> None:
    ended = grpc.StatusCode.OK if context.is_active() else grpc.StatusCode.CANCELLED
    code = (context.code() or ended).name  # type: ignore[attr-defined]  # missing from the stubs
    method = exchange.method
    service = method.containing_service.name
    rpc_duration.labels(service, method.name, code).observe(seconds)
    exchange.span.end({"rpc.response.status_code": code}, failed=code in _FAULTS)
    is_quiet = method.name in _POLLS and code == grpc.StatusCode.OK.name
    logger.log(
        logging.DEBUG if is_quiet else logging.INFO,
        "rpc",
        extra={
            "service": service,
            "method": method.name,
            "code": code,
            "ms": round(seconds * 1000, 1),
            "request": exchange.request_id,
            "trace": exchange.span.trace_id,
            "principal": exchange.principal,
            "received_bytes": exchange.received_bytes,
            "sent_bytes": exchange.sent_bytes,
        },
    )
