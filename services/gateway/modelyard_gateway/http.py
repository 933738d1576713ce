"""Requests and responses over raw ASGI: as much of HTTP as the edge needs."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from modelyard_kit import tracing
from modelyard_kit.errors import InvalidArgument

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_MAX_QUERY_PARAMETERS = 64
_SMALL_BYTES = 64 << 10
_MAX_DROPPED_BYTES = 64 << 20
_DROP_TIMEOUT_S = 10.0
_BODY_TIMEOUT_S = 60.0
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",  # a signed URL is a permission
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
}


@dataclass(slots=True)
class Response:
    """An answer, whole or in chunks.

    Attributes:
        status: The HTTP status.
        body: All of it, or a generator that is closed when the answer ends, however it ends.
        headers: Lower-case names; Content-Length is added to a whole body.
    """

    status: int
    body: bytes | AsyncGenerator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)


def json_response(document: object) -> Response:
    """Return a 200 whose body is a document as JSON."""
    return Response(200, orjson.dumps(document), {"content-type": "application/json"})


class Request:
    """One request.

    Attributes:
        path: Decoded once.
        raw_path: As it came: `%2F` is not yet a slash.
        headers: By lower-case name; the last of several with one name.
        request_id: The caller's own, if it is a fitting one, or invented.
        variables: What stands in the path where its route has `{name}`, decoded once.
        label: The route that answers it, for metrics.
        body_read: Whether all of the body has arrived.
        received_bytes: How much of the body has.
        sent_bytes: How much of the answer's body was sent.
        span: Which trace it is part of.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: str = scope["raw_path"].decode("latin-1")
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        given = self.headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.variables: dict[str, str] = {}
        self.label = "unknown"
        self.body_read = False
        self.received_bytes = self.sent_bytes = 0
        named = {"http.request.method": self.method[:20], "url.path": self.path[:200]}
        self.span = tracing.Span(self.headers.get(tracing.HEADER, ""), "HTTP", named)
        self._body_begun = False
        self._query_string: bytes = scope["query_string"]
        self._receive = receive

    def pairs(self, max_parameters: int) -> list[tuple[str, str]]:
        """Return the parameters of the URL in their order, decoded once.

        Raises:
            InvalidArgument: There are more than `max_parameters`, or one is not UTF-8.
        """
        text = self._query_string.decode("latin-1")
        if text.count("&") >= max_parameters:
            raise InvalidArgument(
                f"Too many parameters in the URL, expected at most {max_parameters}"
            )
        try:
            return parse_qsl(text, keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            raise InvalidArgument("A parameter of the URL is not UTF-8") from None

    def query(self) -> dict[str, str]:
        """Return the parameters of the URL by name.

        Raises:
            InvalidArgument: There are more than 64, or one comes twice.
        """
        pairs = self.pairs(_MAX_QUERY_PARAMETERS)
        query = dict(pairs)
        if len(query) != len(pairs):
            raise InvalidArgument("A parameter of the URL is given twice, expected once")
        return query

    async def read(self, max_bytes: int) -> bytes | None:
        """Return the whole body, or None when it is larger than `max_bytes`.

        Raises:
            ConnectionError: The client went away.
            TimeoutError: It did not come within a minute.
        """
        if int(self.headers.get("content-length", "0")) > max_bytes:
            return None
        chunks: list[bytes] = []
        size_bytes = 0
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            while (chunk := await self.chunk()) is not None:
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    return None
                chunks.append(chunk)
        return b"".join(chunks)

    async def gone(self) -> None:
        """Return when the client has gone away; call it after the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def chunk(self) -> bytes | None:
        """Return the next bytes of the body, or None after the last.

        Raises:
            ConnectionError: The client went away.
        """
        if self.body_read:
            return None
        self._body_begun = True
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        self.body_read = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        self.received_bytes += len(body)
        return body

    @property
    def awaits_leave(self) -> bool:
        """Whether the client sends its body only when asked to, and has not been."""
        return not self._body_begun and self.headers.get("expect", "").lower() == "100-continue"

    @property
    def has_small_body(self) -> bool:
        """Whether the head says that there is little or nothing of a body."""
        length = int(self.headers.get("content-length", "0"))
        return "transfer-encoding" not in self.headers and length <= _SMALL_BYTES

    async def drop_body(self, max_bytes: int) -> None:
        """Read what is left of the body, up to a limit, so that the client reads our answer."""
        dropped_bytes = 0
        while dropped_bytes <= max_bytes and (chunk := await self.chunk()) is not None:
            dropped_bytes += len(chunk)

    async def drop_small_body(self) -> None:
        """Read what is left of a small body, so that the connection can be kept."""
        if self.has_small_body:
            await _dropped(self, _SMALL_BYTES)


async def send_response(request: Request, response: Response, send: Send) -> None:
    """Send an answer; to a HEAD without its body."""
    headers = {**_ALWAYS, "x-request-id": request.request_id, **response.headers}
    if isinstance(response.body, bytes):
        headers.setdefault("content-length", str(len(response.body)))
    has_body = request.method not in {"GET", "HEAD"}
    if has_body and not request.body_read:
        if not request.awaits_leave:
            await request.drop_small_body()
        if not request.body_read:
            headers["connection"] = "close"  # what is left of the body is not the next request
    start = {
        "type": "http.response.start",
        "status": response.status,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    await send(start)
    if isinstance(response.body, bytes):
        body = b"" if request.method == "HEAD" else response.body
        left = has_body and not request.body_read and not request.awaits_leave
        await send({"type": "http.response.body", "body": body, "more_body": left})
        request.sent_bytes = len(body)
        if not left:
            return
        # A client that still sends would lose the answer with the connection.
        await _dropped(request, _MAX_DROPPED_BYTES)
        await send({"type": "http.response.body", "body": b""})
    else:
        await _send_chunks(request, response.body, send)


async def _send_chunks(request: Request, body: AsyncGenerator[bytes], send: Send) -> None:
    gone = asyncio.create_task(request.gone())
    try:
        async with aclosing(body) as chunks:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                request.sent_bytes += len(chunk)
                if gone.done():  # what is sent to nobody need not be read
                    return
    finally:
        gone.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _dropped(request: Request, max_bytes: int) -> None:
    with suppress(ConnectionError, TimeoutError):  # it is answered, or will be
        async with asyncio.timeout(_DROP_TIMEOUT_S):
            await request.drop_body(max_bytes)
