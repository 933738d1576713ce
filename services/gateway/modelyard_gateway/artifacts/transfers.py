"""Transfers of bytes between HTTP and the artifact store.

File operations block, so each runs in a thread; the event loop only moves chunks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from starlette.responses import Response

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_gateway.artifacts.clients import Identity, ServiceClients
from modelyard_kit.artifacts import ArtifactStore, Digest
from modelyard_kit.artifacts.store import attachment
from modelyard_kit.artifacts.verifying import Verifier, damaged
from modelyard_kit.errors import DataLoss, Error
from modelyard_kit.http.errors import HttpError
from modelyard_kit.http.requests import Request
from modelyard_kit.http.responses import StreamedResponse
from modelyard_kit.observability.metrics import digest_mismatches
from modelyard_kit.rpc.server import ActiveCalls

logger = logging.getLogger(__name__)

_THREADS = 16
_REPORTED_EVERY_S = 60.0
_MAX_REPORTED = 10_000
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Download:
    """A file to send.

    Attributes:
        digest: Digest of the whole file.
        objects: Digests and sizes in bytes of the objects it consists of, in order.
        filename: File name for the client to save under; None if it has none.
        content_type: Media type that no browser executes.
    """

    digest: Digest
    objects: Sequence[tuple[Digest, int]]
    filename: str | None = None
    content_type: str = "application/octet-stream"

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.objects)


class Transfers:
    """Sends files to HTTP clients, each object only up to its last chunk if it is damaged.

    Args:
        store: Holds the bytes.
        clients: Reports damaged objects to tracking.
        active: Counts running transfers.

    Attributes:
        active: The same counter; the handler of an upload counts it.
    """

    def __init__(self, store: ArtifactStore, clients: ServiceClients, active: ActiveCalls) -> None:
        self._verifier = Verifier(store, digest_mismatches.labels("download").inc)
        self._clients = clients
        self.active = active
        self._reported: dict[str, float] = {}  # with their times; tracking reads them each time
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="transfers")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return the result of short blocking work, run in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def send(self, request: Request, download: Download) -> Response:
        """Return a response with a file or one range of it, without the bytes for a HEAD.

        Raises:
            HttpError: The range is outside the file.
            DataLoss: The file was found damaged a short time ago.
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
            for digest, _ in download.objects:
                await self.run(partial(self._verifier.refuse_known_damaged, digest))
            return Response(status_code=status, headers=headers)
        chunks = self._read(download, start, end, request)
        return StreamedResponse(chunks, status, headers)

    def require_intact(self, digest: Digest) -> None:
        """Check an object whose bytes the client gets from the store itself; blocks.

        Raises:
            DataLoss: The object is damaged.
            NotFound: The object is not in the store.
        """
        if not self._verifier.is_intact(digest):
            raise damaged(digest)

    @contextlib.contextmanager
    def reporting(self, request: Request) -> Iterator[None]:
        """Report an object that is found damaged in the block to tracking, without waiting."""
        try:
            yield
        except DataLoss as error:
            digest = error.metadata.get("digest", "")
            now = time.monotonic()
            if digest and now - self._reported.get(digest, -_REPORTED_EVERY_S) >= _REPORTED_EVERY_S:
                if len(self._reported) >= _MAX_REPORTED:
                    self._reported.clear()
                self._reported[digest] = now
                self._threads.submit(self._report, digest, self._clients.own_identity(request))
            raise

    def _report(self, digest: str, identity: Identity) -> None:
        request = pb.InspectObjectsRequest(digests=[digest], reread=True)
        try:
            self._clients.artifacts("InspectObjects", request, identity)
        except (Error, HttpError) as error:
            logger.warning("a damaged object was not reported", extra={"cause": str(error)})
            self._reported.pop(digest, None)

    async def _read(
        self, download: Download, start: int, end: int, request: Request
    ) -> AsyncGenerator[bytes]:
        with self.active:
            for span in spans(download.objects, start, end):
                with self.reporting(request):
                    async with contextlib.aclosing(self._object(span)) as chunks:
                        async for chunk in chunks:
                            yield chunk

    async def _object(self, span: Span) -> AsyncGenerator[bytes]:
        opened = self._verifier.open(span.digest, span.start, span.end, span.size_bytes)
        chunks = await self.run(opened.__enter__)
        try:
            while chunk := await self.run(lambda: next(chunks, b"")):
                yield chunk
        finally:
            await self.run(lambda: opened.__exit__(None, None, None))


class Span(NamedTuple):
    """A range of an object: from `start` up to but not including `end`, of `size_bytes`."""

    digest: Digest
    start: int
    end: int
    size_bytes: int


def spans(objects: Sequence[tuple[Digest, int]], start: int, end: int) -> Iterator[Span]:
    """Yield the range to read of each object, for a range of the file that they make up."""
    at = 0
    for digest, size_bytes in objects:
        first, last = max(start - at, 0), min(end - at, size_bytes)
        at += size_bytes
        if first < last:
            yield Span(digest, first, last, size_bytes)


def body_of(request: Request, loop: asyncio.AbstractEventLoop) -> Iterator[bytes]:
    """Yield the body of a request, in a thread that may block.

    Raises:
        ConnectionError: The client disconnected.
        TimeoutError: The client stalled; it occupies a thread.
    """
    read = request.exchange.chunk
    while (chunk := asyncio.run_coroutine_threadsafe(read(), loop).result()) is not None:
        yield chunk


def _matches(if_none_match: str, digest: Digest) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or f'"{digest}"' in tags


def _range(request: Request, digest: Digest, size_bytes: int) -> tuple[int, int] | None:
    """Return the requested range as start and end, or None for the whole file.

    Several ranges, or invalid ones, are answered with the whole file, as RFC 9110 allows.
    """
    requested = _RANGE.fullmatch(request.headers.get("range", ""))
    if requested is None or request.headers.get("if-range", f'"{digest}"') != f'"{digest}"':
        return None
    first, last = requested.groups()
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
            f"The range {requested.string} is outside the file, which has {size_bytes} bytes.",
            {"content-range": f"bytes */{size_bytes}"},
        )
    return start, end
