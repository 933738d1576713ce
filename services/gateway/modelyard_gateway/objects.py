"""The bytes of a store that has no HTTP front of its own, under the URLs it signed.

File operations block, so each runs on a thread; the event loop only moves chunks.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, TypeVar
from urllib.parse import quote

from modelyard_gateway.errors import HttpError
from modelyard_gateway.http import Request, Response
from modelyard_kit.artifacts import ArtifactStore, Digest, Grant, UrlSigner
from modelyard_kit.errors import Error, InvalidArgument, NotFound
from modelyard_kit.server import ActiveCalls

PREFIX = "/artifacts/objects/"
_THREADS = 16
_STALLED_AFTER_S = 60.0
_MAX_DROPPED_BYTES = 64 << 20  # the largest object: a part of a large file
_DROP_TIMEOUT_S = 10.0
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

Result = TypeVar("Result")


class Objects:
    """PUT, GET and HEAD of objects.

    Args:
        store: Where they are.
        signer: Made the URLs.
        active: Counts the transfers that are running.
    """

    def __init__(self, store: ArtifactStore, signer: UrlSigner, active: ActiveCalls) -> None:
        self._store = store
        self._signer = signer
        self._active = active
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def put(self, request: Request) -> Response:
        """Store an object while it is hashed; other bytes than declared leave nothing behind."""
        try:
            with self._active:
                return await self._put(request)
        except Error:
            async with asyncio.timeout(_DROP_TIMEOUT_S):
                await request.drop_body(_MAX_DROPPED_BYTES)
            raise

    async def _put(self, request: Request) -> Response:
        grant = self._granted("PUT", request)
        size_bytes = grant.size_bytes
        if size_bytes is None:
            raise InvalidArgument("The URL names no size, expected one that was made for a PUT")
        declared = request.headers.get("content-length", str(size_bytes))
        if declared != str(size_bytes):
            raise InvalidArgument(
                f"Wrong Content-Length for object {grant.digest}: "
                f"expected {size_bytes}, got {declared}"
            )
        loop = asyncio.get_running_loop()
        chunks = _chunks(request, loop)
        await self._run(lambda: self._store.put(grant.digest, chunks, size_bytes))
        return Response(200, headers={"etag": f'"{grant.digest}"'})

    async def get(self, request: Request) -> Response:
        """Answer with an object or one range of it; to a HEAD without the bytes."""
        grant = self._granted("GET", request)
        size_bytes = await self._run(lambda: self._store.size_bytes(grant.digest))
        if size_bytes is None:
            raise NotFound(f"No object {grant.digest} in the artifact store", digest=grant.digest)
        headers = {"etag": f'"{grant.digest}"', "accept-ranges": "bytes"}
        if _matches(request.headers.get("if-none-match", ""), grant.digest):
            return Response(304, headers=headers)
        span = _range(request, grant.digest, size_bytes)
        start, end = span or (0, size_bytes)
        if span:
            headers["content-range"] = f"bytes {start}-{end - 1}/{size_bytes}"
        headers |= {
            "content-length": str(end - start),
            "content-type": "application/octet-stream",
            "content-disposition": _disposition(grant),
        }
        body = b"" if request.method == "HEAD" else self._read(grant.digest, start, end)
        return Response(206 if span else 200, body, headers)

    def _granted(self, method: Literal["GET", "PUT"], request: Request) -> Grant:
        digest = Digest(request.path.removeprefix(PREFIX))
        return self._signer.verify(method, digest, request.query(), time.time())

    async def _read(self, digest: Digest, start: int, end: int) -> AsyncGenerator[bytes]:
        with self._active:
            opened = self._store.open(digest, start, end)
            chunks = await self._run(opened.__enter__)
            try:
                while chunk := await self._run(lambda: next(chunks, b"")):
                    yield chunk
            finally:
                await self._run(lambda: opened.__exit__(None, None, None))

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _chunks(request: Request, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """The body of a request, for a thread that may block."""

    async def next_chunk() -> bytes | None:
        async with asyncio.timeout(_STALLED_AFTER_S):
            return await request.chunk()

    while (chunk := asyncio.run_coroutine_threadsafe(next_chunk(), loop).result()) is not None:
        yield chunk


def _matches(if_none_match: str, digest: Digest) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or f'"{digest}"' in tags


def _range(request: Request, digest: Digest, size_bytes: int) -> tuple[int, int] | None:
    """The asked-for range as start and end, or None for the whole object.

    Several ranges, or ones we cannot read, are answered with the whole object, as RFC 9110 allows.
    """
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or request.headers.get("if-range", f'"{digest}"') != f'"{digest}"':
        return None
    first, last = asked.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < int(first):
            return None
    elif last:
        start, end = max(size_bytes - int(last), 0), size_bytes
    else:
        return None
    if start >= end:
        raise HttpError(
            416,
            "INVALID_PARAMETER_VALUE",
            f"The range {asked.string} is outside the object, which has {size_bytes} bytes",
            {"content-range": f"bytes */{size_bytes}"},
        )
    return start, end


def _disposition(grant: Grant) -> str:
    if grant.filename is None:
        return "attachment"
    return f"attachment; filename*=UTF-8''{quote(grant.filename, safe='')}"
