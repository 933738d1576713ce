"""One request and its answer as they pass an application: counted, bounded and given headers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from starlette.types import Message, Receive, Scope, Send

from modelyard_kit.observability import request_ids, tracing

Headers = Sequence[tuple[bytes, bytes]]

API_POLICY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # a signed URL is a permission
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
)
"""What browsers are allowed with an answer that is no page of ours: nothing."""

_KEY = "modelyard.exchange"
_SMALL_BYTES = 64 << 10
_MAX_DROPPED_BYTES = 64 << 20
_DROP_TIMEOUT_S = 10.0
_BODY_TIMEOUT_S = 60.0
_CLOSE = (b"connection", b"close")
_REQUEST_ID = request_ids.HEADER.encode()
_TRACE = tracing.HEADER.encode()


class Exchange:
    """One request and its answer.

    An answer that is sent before all of the body has come is made readable: the rest of a small
    body is read first, so that the connection can be kept; of a larger one up to 64 MiB are read
    after the answer, since a client that still sends would lose it with the connection.

    Attributes:
        method: The HTTP method.
        path: Decoded once.
        given: The headers by lower-case name; the first of several with one name.
        request_id: The caller's own, if it is a fitting one, or a new one.
        span: The span of the trace that the request is part of.
        label: The route that answers it, for metrics and traces.
        policy: Headers that tell browsers what the answer may do; a route may choose others.
        headers: Further headers of the answer, refusals included.
        status: The status of the answer; 0 before it begins.
        body_read: Whether all of the body has arrived.
        received_bytes: How much of the body has arrived.
        sent_bytes: How much of the answer's body was sent.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_KEY] = self
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.given: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        self.request_id = request_ids.kept_or_new(self.header(_REQUEST_ID))
        named = {"http.request.method": self.method[:20], "url.path": self.path[:200]}
        self.span = tracing.Span(self.header(_TRACE), "HTTP", named)
        self.label = "unknown"
        self.policy = API_POLICY
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = self.received_bytes = self.sent_bytes = 0
        self.body_read = self._body_begun = False
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> str:
        """Return a header of the request by its lower-case name, or nothing."""
        return self.given.get(name, b"").decode("latin-1")

    async def receive(self) -> Message:
        """Receive as ASGI's `receive`, and count."""
        self._body_begun = True
        message = await self._receive()
        if message["type"] == "http.request":
            self.body_read = not message.get("more_body", False)
            self.received_bytes += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Send as ASGI's `send`, with the headers every answer has; to a HEAD without a body."""
        if message["type"] == "http.response.start":
            await self._start(message)
        else:
            await self._continue(message)

    async def read(self, max_bytes: int) -> bytes | None:
        """Return the whole body, or None when it is larger than `max_bytes`.

        Raises:
            ConnectionError: The client went away.
            TimeoutError: It did not come within a minute.
        """
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return await self.read_untimed(max_bytes)

    async def read_untimed(self, max_bytes: int) -> bytes | None:
        """Return the whole body as `read`, for a caller whose own deadline covers it."""
        if self._length > max_bytes:
            return None
        chunks: list[bytes] = []
        while (chunk := await self.chunk()) is not None:
            if self.received_bytes > max_bytes:
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    async def chunk(self) -> bytes | None:
        """Return the next bytes of the body, or None after the last.

        Raises:
            ConnectionError: The client went away.
        """
        if self.body_read:
            return None
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        return cast("bytes", message.get("body", b""))

    async def gone(self) -> None:
        """Return when the client has gone away; call it after the body has been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    @property
    def has_small_body(self) -> bool:
        """Whether the head tells of little or nothing of a body."""
        return b"transfer-encoding" not in self.given and self._length <= _SMALL_BYTES

    @property
    def _length(self) -> int:
        return int(self.given.get(b"content-length", b"0"))

    @property
    def _awaits_leave(self) -> bool:
        """Whether the client sends its body only when asked to, and has not been."""
        return not self._body_begun and self.header(b"expect").lower() == "100-continue"

    @property
    def _has_left(self) -> bool:
        """Whether a part of the body has not arrived."""
        return not self.body_read and self.method not in {"GET", "HEAD"}

    async def _start(self, message: Message) -> None:
        headers = [*message["headers"], *every_answer(self.request_id, self.policy), *self.headers]
        if self._has_left and not self._awaits_leave and self.has_small_body:
            await self._drop(_SMALL_BYTES)
        if self._has_left and _CLOSE not in headers:
            headers.append(_CLOSE)  # what is left of the body is not the next request
        self.status = message["status"]
        await self._send({**message, "headers": headers})

    async def _continue(self, message: Message) -> None:
        body: bytes = b"" if self.method == "HEAD" else message.get("body", b"")
        goes_on: bool = message.get("more_body", False)
        left = not goes_on and self._has_left and not self._awaits_leave
        await self._send({**message, "body": body, "more_body": goes_on or left})
        self.sent_bytes += len(body)
        if left:
            await self._drop(_MAX_DROPPED_BYTES)
            await self._send({"type": "http.response.body", "body": b""})

    async def _drop(self, max_bytes: int) -> None:
        """Read what is left of the body, up to a limit."""
        dropped_bytes = 0
        with suppress(ConnectionError, TimeoutError):  # it is answered, or will be
            async with asyncio.timeout(_DROP_TIMEOUT_S):
                while dropped_bytes <= max_bytes and (chunk := await self.chunk()) is not None:
                    dropped_bytes += len(chunk)


def every_answer(request_id: str, policy: Headers = API_POLICY) -> Headers:
    """Return the headers of every answer."""
    return (*policy, (_REQUEST_ID, request_id.encode()))


def of(scope: Scope) -> Exchange:
    """Return the exchange that a scope belongs to."""
    return cast("Exchange", scope[_KEY])
