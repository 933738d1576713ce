"""Bytes between HTTP and threads.

File operations block, so each runs on a thread; the event loop only moves chunks.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from starlette.responses import Response

from modelyard_kit.artifacts import ArtifactStore, Digest
from modelyard_kit.artifacts.store import attachment
from modelyard_kit.http.errors import HttpError
from modelyard_kit.http.requests import Request
from modelyard_kit.http.responses import StreamedResponse
from modelyard_kit.rpc.server import ActiveCalls

STALLED_AFTER_S = 60.0
_PROGRESS_BYTES = 64 << 10
_THREADS = 16
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Download:
    """A file to answer with.

    Attributes:
        digest: Of all of it.
        objects: What it consists of, in order: digests and sizes in bytes.
        filename: The name to save it under, if it has one.
        content_type: Of a kind that no browser runs.
    """

    digest: Digest
    objects: Sequence[tuple[Digest, int]]
    filename: str | None = None
    content_type: str = "application/octet-stream"

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.objects)


class Transfers:
    """Moves bytes.

    Args:
        store: Where they are.
        active: Counts the transfers that are running.

    Attributes:
        active: The same; an upload is counted by whoever receives it.
    """

    def __init__(self, store: ArtifactStore, active: ActiveCalls) -> None:
        self._store = store
        self.active = active
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="transfers")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return the result of work that blocks for a short time."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def send(self, request: Request, download: Download) -> Response:
        """Answer with a file or one range of it; to a HEAD without the bytes.

        Raises:
            HttpError: The range is outside the file.
        """
        headers = {"etag": f'"{download.digest}"', "accept-ranges": "bytes"}
        if _matches(request.headers.get("if-none-match", ""), download.digest):
            return Response(status_code=304, headers=headers)
        size_bytes = download.size_bytes
        span = _range(request, download.digest, size_bytes)
        start, end = span or (0, size_bytes)
        if span:
            headers["content-range"] = f"bytes {start}-{end - 1}/{size_bytes}"
        headers |= {
            "content-length": str(end - start),
            "content-type": download.content_type,
            "content-disposition": attachment(download.filename),
        }
        status = 206 if span else 200
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        return StreamedResponse(self._read(download, start, end), status, headers)

    async def _read(self, download: Download, start: int, end: int) -> AsyncGenerator[bytes]:
        with self.active:
            for digest, first, last in spans(download.objects, start, end):
                async with contextlib.aclosing(self._object(digest, first, last)) as chunks:
                    async for chunk in chunks:
                        yield chunk

    async def _object(self, digest: Digest, start: int, end: int) -> AsyncGenerator[bytes]:
        opened = self._store.open(digest, start, end)
        chunks = await self.run(opened.__enter__)
        try:
            while chunk := await self.run(lambda: next(chunks, b"")):
                yield chunk
        finally:
            await self.run(lambda: opened.__exit__(None, None, None))


def spans(
    objects: Sequence[tuple[Digest, int]], start: int, end: int
) -> Iterator[tuple[Digest, int, int]]:
    """Yield what to read of which object, for a range of the file they make up together."""
    at = 0
    for digest, size_bytes in objects:
        first, last = max(start - at, 0), min(end - at, size_bytes)
        at += size_bytes
        if first < last:
            yield digest, first, last


def body_of(
    request: Request, loop: asyncio.AbstractEventLoop, stalled_after_s: float = STALLED_AFTER_S
) -> Iterator[bytes]:
    """Yield the body of a request, on a thread that may block.

    Raises:
        ConnectionError: The client went away.
        TimeoutError: It sent less than 64 KiB in `stalled_after_s`: a thread waits for it.
    """
    due = loop.time() + stalled_after_s
    came_bytes = 0

    async def next_chunk() -> bytes | None:
        async with asyncio.timeout_at(due):
            return await request.exchange.chunk()

    while (chunk := asyncio.run_coroutine_threadsafe(next_chunk(), loop).result()) is not None:
        yield chunk
        came_bytes += len(chunk)
        if came_bytes >= _PROGRESS_BYTES:
            due, came_bytes = loop.time() + stalled_after_s, 0


def _matches(if_none_match: str, digest: Digest) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or f'"{digest}"' in tags


def _range(request: Request, digest: Digest, size_bytes: int) -> tuple[int, int] | None:
    """The asked-for range as start and end, or None for the whole file.

    Several ranges, or ones we cannot read, are answered with the whole file, as RFC 9110 allows.
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
            f"The range {asked.string} is outside the file, which has {size_bytes} bytes",
            {"content-range": f"bytes */{size_bytes}"},
        )
    return start, end
