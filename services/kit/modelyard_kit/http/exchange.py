"""One request and its response: counts bytes, limits the body, adds headers."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, cast

from starlette.types import Message, Receive, Scope, Send

from modelyard_kit.observability import request_ids, tracing

Headers = Sequence[tuple[bytes, bytes]]

API_POLICY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # a signed URL grants access
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
)
"""Headers of responses that are not pages of ours: browsers may do nothing with them."""

_KEY = "modelyard.exchange"
_SMALL_BYTES = 64 << 10
_PROGRESS_BYTES = 64 << 10
_MAX_DROPPED_BYTES = 64 << 20
_DROP_TIMEOUT_S = 10.0
_BODY_TIMEOUT_S = 60.0
_SOON_S = 0.05
"""Time in which the body of a client that sends its head and a small body at once has arrived."""
_LATE = 408
"""Status of a response to a body that stalled: there is no point in waiting for the rest of it."""
_CLOSE = (b"connection", b"close")
_REQUEST_ID = request_ids.HEADER.encode()
_TRACE = tracing.HEADER.encode()


class Exchange:
    """One request and its response.

    A response that is sent before the whole body has arrived must still reach the client. The rest
    of a small body that arrives at once is read first, so that the connection can be kept. Of
    another body up to 64 MiB are read after the response, since a client that is still sending
    would lose the response when the connection is closed.

    Attributes:
        stalled_after_s: Longest time to wait for the next 64 KiB of a body, in seconds: a client
            that sends less has stalled, and the connection is closed.
        method: HTTP method.
        path: Path, decoded once.
        client: Address of the peer.
        given: Request headers by lower-case name; the first one of several with the same name.
        request_id: Id that the client sent, if valid, else a new one.
        span: Span of the request in its trace.
        label: Route that answers the request, for metrics and traces.
        policy: Headers that restrict what browsers may do with the response; set by the route.
        is_public: Whether the route answers without a token.
        headers: Further headers of the response, including error responses.
        status: Status of the response; 0 before it begins.
        body_read: Whether the whole body has arrived.
        received_bytes: Number of bytes of the body that have arrived.
        sent_bytes: Number of bytes of the response's body that were sent.
    """

    stalled_after_s: ClassVar[float] = 10.0

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_KEY] = self
        self.client: object = scope.get("client")
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._headers: Headers = scope["headers"]
        self.given: dict[bytes, bytes] = dict(reversed(self._headers))
        self.request_id = request_ids.kept_or_new(self.header(_REQUEST_ID))
        attributes = {"http.request.method": self.method[:20], "url.path": self.path[:200]}
        self.span = tracing.Span(self.header(_TRACE), "HTTP", attributes)
        self.label = "unknown"
        self.policy = API_POLICY
        self.is_public = False
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = self.received_bytes = self.sent_bytes = 0
        self.body_read = not self._length and b"transfer-encoding" not in self.given
        self._body_begun = False
        self._ahead: deque[bytes] = deque()
        self._waited_s = 0.0
        self._progress_bytes = 0
        self._receive = receive
        self._send = send

    def header(self, name: bytes) -> str:
        """Return a request header by its lower-case name; empty if it is missing."""
        return self.given.get(name, b"").decode("latin-1")

    def all(self, name: bytes) -> list[str]:
        """Return the values of a request header by its lower-case name, in their order."""
        if name not in self.given:
            return []
        return [value.decode("latin-1") for key, value in self._headers if key == name]

    async def receive(self) -> Message:
        """Receive a message as ASGI's `receive`, and count its bytes."""
        self._body_begun = True
        message = await self._receive()
        if message["type"] == "http.request":
            self.body_read = not message.get("more_body", False)
            self.received_bytes += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Send a message as ASGI's `send`, with the common headers; without the body for a HEAD."""
        if message["type"] == "http.response.start":
            await self._start(message)
        else:
            await self._continue(message)

    async def read(self, max_bytes: int, within_s: float = _BODY_TIMEOUT_S) -> bytes | None:
        """Return the whole body, or None when it is larger than `max_bytes`.

        Raises:
            ConnectionError: The client disconnected.
            TimeoutError: The client stalled, or the body did not arrive within `within_s`.
        """
        if self._length > max_bytes:
            return None
        chunks: list[bytes] = []
        async with asyncio.timeout(None if self.body_read else within_s):
            while (chunk := await self.chunk()) is not None:
                if self.received_bytes > max_bytes:
                    return None
                chunks.append(chunk)
        return b"".join(chunks)

    async def chunk(self) -> bytes | None:
        """Return the next bytes of the body, or None at its end.

        Raises:
            ConnectionError: The client disconnected.
            TimeoutError: The client stalled.
        """
        if self._ahead:
            return self._ahead.popleft()
        return None if self.body_read else await self._next_chunk()

    async def arrives_soon(self) -> bool:
        """Return whether the whole body is small and has arrived, or arrives at once.

        What arrives is kept for `read`. A client that expects `100 Continue` is not sent it here.
        """
        if self.body_read:
            return True
        if not self.has_small_body or self._expects_continue:
            return False
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _SOON_S
        with suppress(TimeoutError):
            while not self.body_read:
                self._ahead.append(await self._next_chunk(until_s - loop.time()))
        return self.body_read

    def announced_bytes(self, max_bytes: int) -> int:
        """Return the size of the body; `max_bytes` if it is larger, or unknown."""
        is_unknown = b"transfer-encoding" in self.given
        return max_bytes if is_unknown else min(self._length, max_bytes)

    async def _next_chunk(self, within_s: float = math.inf) -> bytes:
        """Return the next bytes; only time spent waiting for them counts as stalling."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        try:
            async with asyncio.timeout(min(within_s, self.stalled_after_s - self._waited_s)):
                message = await self.receive()
        finally:
            self._waited_s += loop.time() - started_s
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client disconnected")
        body = cast("bytes", message.get("body", b""))
        self._progress_bytes += len(body)
        if self._progress_bytes >= _PROGRESS_BYTES:
            self._progress_bytes, self._waited_s = 0, 0.0
        return body

    async def gone(self) -> None:
        """Return when the client has disconnected; only after the body has been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    @property
    def has_small_body(self) -> bool:
        """Whether the head announces no body or a small one."""
        return b"transfer-encoding" not in self.given and self._length <= _SMALL_BYTES

    @property
    def _length(self) -> int:
        return int(self.given.get(b"content-length", b"0"))

    @property
    def _expects_continue(self) -> bool:
        """Whether the request has `Expect: 100-continue` and has not been answered yet."""
        return not self._body_begun and self.header(b"expect").lower() == "100-continue"

    @property
    def _has_left(self) -> bool:
        """Whether a part of the body has not arrived."""
        return not self.body_read and self.method not in {"GET", "HEAD"}

    async def _start(self, message: Message) -> None:
        headers = [*message["headers"], *every_answer(self.request_id, self.policy), *self.headers]
        if self._has_left and not self._expects_continue and self.has_small_body:
            await self._drop(_SMALL_BYTES, _SOON_S)
        if self._has_left and _CLOSE not in headers:
            headers.append(_CLOSE)  # the rest of the body must not be read as the next request
        self.status = message["status"]
        await self._send({**message, "headers": headers})

    async def _continue(self, message: Message) -> None:
        body: bytes = b"" if self.method == "HEAD" else message.get("body", b"")
        has_more: bool = message.get("more_body", False)
        must_drop = not has_more and self._has_left and not self._expects_continue
        must_drop = must_drop and self.status != _LATE
        await self._send({**message, "body": body, "more_body": has_more or must_drop})
        self.sent_bytes += len(body)
        if must_drop:
            await self._drop(_MAX_DROPPED_BYTES, _DROP_TIMEOUT_S)
            await self._send({"type": "http.response.body", "body": b""})

    async def _drop(self, max_bytes: int, within_s: float) -> None:
        """Read and discard the rest of the body, up to a size and for a time."""
        dropped_bytes = 0
        with suppress(ConnectionError, TimeoutError):  # the response is independent of the body
            async with asyncio.timeout(within_s):
                while dropped_bytes <= max_bytes and (chunk := await self.chunk()) is not None:
                    dropped_bytes += len(chunk)


def every_answer(request_id: str, policy: Headers = API_POLICY) -> Headers:
    """Return the common headers of every response."""
    return (*policy, (_REQUEST_ID, request_id.encode()))


def of(scope: Scope) -> Exchange:
    """Return the exchange that an ASGI scope belongs to."""
    return cast("Exchange", scope[_KEY])
