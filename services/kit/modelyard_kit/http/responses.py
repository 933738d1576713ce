"""Response classes that Starlette lacks, or implements differently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from modelyard_kit.http.exchange import of


class JsonResponse(Response):
    """A document as JSON."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return orjson.dumps(content)


class StreamedResponse(Response):
    """A response that is sent in chunks.

    The head is sent when the first chunk is known, so that an error before it has its own response.

    Args:
        chunks: Chunks of the body; closed when the response ends for any reason.
        status_code: HTTP status.
        headers: Headers; without Content-Length the body is sent with chunked encoding.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.chunks = chunks
        self.status_code = status_code
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = {"status": self.status_code, "headers": self.raw_headers}
        disconnected = asyncio.create_task(of(scope).gone())
        try:
            async with aclosing(self.chunks) as chunks:
                chunk = await anext(chunks, b"")
                await send({"type": "http.response.start", **head})
                while chunk:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    if disconnected.done():
                        return
                    chunk = await anext(chunks, b"")
        finally:
            disconnected.cancel()
        await send({"type": "http.response.body", "body": b""})
