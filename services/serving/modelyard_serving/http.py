"""The HTTP skin: MLflow's scoring protocol as raw ASGI, errors as JSON, always."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import orjson
from google.protobuf.descriptor import MethodDescriptor
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from modelyard_kit import errors, tracing
from modelyard_serving import media, metrics
from modelyard_serving.callers import PREDICT, STATUS, Callers
from modelyard_serving.endpoint import Endpoint, Identity
from modelyard_serving.runtime.process import ModelFailed, Request

MAX_REQUESTS = 256
"""Predictions that may be waiting or running; more are refused at once."""

_DISCARDED_BYTES = 64 << 20  # a client that is cut off while it sends never reads the refusal
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_SERVER_ERROR = 500
_PRINTABLE = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~ "
_STATUSES: dict[type[errors.Error], tuple[int, str]] = {
    errors.InvalidArgument: (400, "BAD_REQUEST"),
    errors.Unauthenticated: (401, errors.Unauthenticated.reason),
    errors.PermissionDenied: (403, errors.PermissionDenied.reason),
    errors.ResourceExhausted: (429, errors.ResourceExhausted.reason),
    ModelFailed: (500, ModelFailed.reason),
    errors.Unavailable: (503, errors.Unavailable.reason),
    errors.DeadlineExceeded: (504, errors.DeadlineExceeded.reason),
}

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that HTTP itself has a status for."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = list(headers)


@dataclass
class Exchange:
    """One request and what its answer will carry."""

    method: str
    path: str
    given: dict[bytes, bytes]
    receive: Receive
    request_id: str
    span: tracing.Span
    received_bytes: int = 0
    headers: Headers = field(default_factory=list)


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: bytes
    body: bytes


class App:
    """An ASGI application for one endpoint.

    Args:
        endpoint: Answers.
        callers: Decides who may ask for predictions and for the status.
        max_body_bytes: Larger requests are refused with 413.
        timeout_s: A prediction that takes longer, with its waiting, is given up with 504.
    """

    def __init__(
        self, endpoint: Endpoint, callers: Callers, max_body_bytes: int, timeout_s: float
    ) -> None:
        self._endpoint = endpoint
        self._callers = callers
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s
        self._predicting = 0
        self._version = version("modelyard").encode()
        self._routes: dict[str, tuple[tuple[str, ...], Callable[[Exchange], Awaitable[Reply]]]] = {
            "/invocations": (("POST",), self._invocations),
            "/ping": (("GET", "HEAD"), self._health),
            "/health": (("GET", "HEAD"), self._health),
            "/version": (("GET", "HEAD"), self._show_version),
            "/status": (("GET", "HEAD"), self._status),
            "/metrics": (("GET", "HEAD"), self._metrics),
        }

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        given = dict(scope["headers"])
        wanted = given.get(b"x-request-id", b"").decode("latin-1")
        request_id = wanted if _REQUEST_ID.fullmatch(wanted) else uuid.uuid4().hex
        method, path = scope["method"], scope["path"]
        span = _span(given, method, path)
        exchange = Exchange(method, path, given, receive, request_id, span)
        began_s = time.perf_counter()
        try:
            reply = await self._routed(exchange)
        except Refused as refused:
            exchange.headers += refused.headers
            reply = _error(exchange, refused.status, refused.code, refused.message)
        except errors.Error as error:
            reply = _error(exchange, *_STATUSES[type(error)], error.message)
        except Exception:  # noqa: BLE001 - a bug is an answer too, and a line in the log
            _log.exception("bug", extra={"request": request_id})
            reply = _error(exchange, 500, "INTERNAL_ERROR", "internal error")
        took_s = time.perf_counter() - began_s
        if exchange.path == "/invocations":
            metrics.request_duration.labels(str(reply.status)).observe(took_s)
        failed = reply.status >= _SERVER_ERROR
        exchange.span.end({"http.response.status_code": reply.status}, failed=failed)
        await _send(send, exchange, reply)
        _log_line(exchange, reply, took_s)

    async def _routed(self, exchange: Exchange) -> Reply:
        if exchange.path not in self._routes:
            known = ", ".join(self._routes)
            raise Refused(404, "ENDPOINT_NOT_FOUND", f"There is no such path; there are {known}.")
        methods, handler = self._routes[exchange.path]
        if exchange.method not in methods:
            allowed = " or ".join(methods)
            raise Refused(
                *(405, "METHOD_NOT_ALLOWED", f"Use {allowed} for {exchange.path}."),
                (b"allow", ", ".join(methods).encode()),
            )
        return await handler(exchange)

    async def _invocations(self, exchange: Exchange) -> Reply:
        await self._authorize(exchange, PREDICT)
        if self._predicting >= MAX_REQUESTS:
            exchange.headers.append((b"retry-after", b"1"))
            raise errors.ResourceExhausted(
                f"{MAX_REQUESTS} predictions are waiting or running already; try again."
            )
        self._predicting += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._predict(exchange)
        except TimeoutError:
            raise errors.DeadlineExceeded(
                f"The prediction was not made within {self._timeout_s:g} seconds."
            ) from None
        finally:
            self._predicting -= 1

    async def _authorize(self, exchange: Exchange, method: MethodDescriptor) -> None:
        authorization = exchange.given.get(b"authorization", b"").decode("latin-1")
        model_name, request_id = self._endpoint.model_name, exchange.request_id
        await self._callers.authorize(authorization, method, model_name, request_id)

    async def _predict(self, exchange: Exchange) -> Reply:
        media_type = _media_type(exchange)
        body = await self._read(exchange)
        with self._endpoint.lease() as served:
            exchange.headers += _identity(served.identity)
            request = Request(media_type, body, exchange.request_id)
            return Reply(200, b"application/json", await served.predict(request))

    async def _read(self, exchange: Exchange) -> bytes:
        length = exchange.given.get(b"content-length", b"0")
        announced = int(length) if length.isdigit() else 0
        if announced > self._max_body_bytes and b"expect" in exchange.given:
            raise self._too_large()  # it waits for our word before it sends
        parts: list[bytes] = []
        size_bytes = 0
        more = True
        while more and size_bytes <= _DISCARDED_BYTES:
            message = await exchange.receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "BAD_REQUEST", "The request ended before its body did.")
            size_bytes += len(message["body"])
            exchange.received_bytes = size_bytes
            if size_bytes <= self._max_body_bytes:
                parts.append(message["body"])
            else:
                parts.clear()
            more = message["more_body"]
        if size_bytes > self._max_body_bytes:
            raise self._too_large()
        return b"".join(parts)

    def _too_large(self) -> Refused:
        return Refused(
            413,
            "REQUEST_LIMIT_EXCEEDED",
            f"The body is larger than {self._max_body_bytes} bytes; send fewer rows at a time.",
            (b"connection", b"close"),
        )

    async def _health(self, exchange: Exchange) -> Reply:
        if not self._endpoint.is_ready:
            raise errors.Unavailable(self._endpoint.why_not_ready)
        return Reply(200, b"application/json", b"\n")

    async def _show_version(self, exchange: Exchange) -> Reply:
        return Reply(200, b"text/plain; charset=utf-8", self._version)

    async def _status(self, exchange: Exchange) -> Reply:
        await self._authorize(exchange, STATUS)
        served = self._endpoint.served
        identity = served.identity if served else Identity("", "", "")
        document = {
            "model_uri": self._endpoint.uri,
            "state": self._endpoint.state,
            "state_message": self._endpoint.message,
            "ready": self._endpoint.is_ready,
            "model_name": identity.name,
            "model_version": identity.version,
            "model_digest": identity.digest,
        }
        return Reply(200, b"application/json", orjson.dumps(document))

    async def _metrics(self, exchange: Exchange) -> Reply:
        return Reply(200, CONTENT_TYPE_LATEST.encode(), generate_latest())


def _span(given: dict[bytes, bytes], method: str, path: str) -> tracing.Span:
    traceparent = given.get(tracing.HEADER.encode(), b"").decode("latin-1")
    named = {"http.request.method": method[:20], "url.path": path[:200]}
    return tracing.Span(traceparent, f"{method[:20]} {path[:200]}", named)


def _media_type(exchange: Exchange) -> str:
    if b"content-encoding" in exchange.given:
        raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Send the body without Content-Encoding.")
    try:
        return media.media_type(exchange.given.get(b"content-type", b"").decode("latin-1"))
    except ValueError as other:
        raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", str(other)) from None


def _identity(identity: Identity) -> Headers:
    named = {"name": identity.name, "version": identity.version, "digest": identity.digest}
    return [
        # A name may hold any character, a header may not: percent-encoded UTF-8.
        (f"x-model-{what}".encode(), quote(value, safe=_PRINTABLE).encode())
        for what, value in named.items()
        if value
    ]


def _error(exchange: Exchange, status: int, code: str, message: str) -> Reply:
    document = {"error_code": code, "message": message, "request_id": exchange.request_id}
    return Reply(status, b"application/json", orjson.dumps(document))


def _log_line(exchange: Exchange, reply: Reply, took_s: float) -> None:
    _log.info(
        "http",
        extra={
            "method": exchange.method[:20],
            "path": exchange.path[:200],
            "status": reply.status,
            "ms": round(took_s * 1000, 1),
            "request": exchange.request_id,
            "trace": exchange.span.trace_id,
            "received_bytes": exchange.received_bytes,
            "sent_bytes": len(reply.body),
        },
    )


async def _send(send: Send, exchange: Exchange, reply: Reply) -> None:
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", str(len(reply.body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", exchange.request_id.encode()),
        *exchange.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
