"""Transfers of objects to and from the store: parallel, retried, verified."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import TracebackType
from typing import IO, Generic, Self, TypeVar
from urllib.parse import urlsplit

from modelyard._artifacts.attempts import Attempts, Stopped
from modelyard._artifacts.objects import Object, Source
from modelyard._artifacts.progress import Advance
from modelyard._transport import http, rpc
from modelyard.api.artifacts.v1.artifacts_pb2 import ObjectUpload
from modelyard.exceptions import (
    DataLoss,
    InvalidState,
    ModelyardException,
    NotFound,
    ResourceExhausted,
)

_BLOCK_BYTES = 1 << 20
_THREADS = 8
_TIMEOUT_S = 60.0  # without receiving a byte
_PARTIAL = 206
_DAMAGED = 422  # the answer of the gateway for bytes that differ from their digest
_ALREADY_THERE = 412  # the answer to If-None-Match: *
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_known_stores: set[str] = set()
"""Stores that have taken an upload of this process, as host:port."""

T = TypeVar("T")
R = TypeVar("R")


class Links(Generic[T]):
    """Signed URLs of objects by digest, renewed when they expire.

    Args:
        known: URLs from the server's reply.
        ask: Requests them again after one has expired.
    """

    def __init__(self, known: Mapping[str, T], ask: Callable[[], Mapping[str, T]]) -> None:
        self._known = known
        self._ask = ask
        self._lock = threading.Lock()

    def get(self, digest: str) -> T | None:
        with self._lock:
            return self._known.get(digest)

    def renewed(self, digest: str, expired: T) -> T | None:
        """Return the replacement of `expired`; the server is asked once for all threads."""
        with self._lock:
            if self._known.get(digest) == expired:
                self._known = self._ask()
            return self._known.get(digest)


class Transfer:
    """Threads and connections that transfer the objects of one tree; used in a `with` block.

    Args:
        server: Host name of the server, which may ask for the client certificate.
        advance: Called with the size of every block.
    """

    def __init__(self, server: str | None, advance: Advance = lambda _: None) -> None:
        self.advance = advance
        self._server = server
        self._connections = http.Connections(server, _TIMEOUT_S)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="modelyard-transfer")
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)
        self._connections.__exit__(kind, error, traceback)

    def each(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Apply `work` to each item and return the results in order; stop at the first failure.

        Must not be called by `work`.
        """
        if len(items) == 1:
            return [work(items[0])]
        results: dict[int, R] = {}
        waiting = iter(range(len(items)))
        lock = threading.Lock()

        def take() -> None:
            while not self._stopped.is_set():
                with lock:
                    index = next(waiting, None)
                if index is None:
                    return
                try:
                    results[index] = work(items[index])
                except BaseException:
                    self._stopped.set()  # here, as `_finish` may notice late
                    raise

        _finish([self._pool.submit(take) for _ in range(min(_THREADS, len(items)))], self._stopped)
        return [results[index] for index in range(len(items))]

    def put(self, wanted: Object, links: Links[ObjectUpload], source: Source, offset: int) -> None:
        """Upload a range of a local file unless the store has it.

        A store that is away is waited for, like a server that is logged to.

        Raises:
            InvalidState: The file has changed since it was hashed, or the store refused it.
            Unavailable: The store cannot be reached.
        """
        link = links.get(wanted.digest)
        attempts = Attempts(
            source.path.name,
            self._stopped,
            rpc.patience_s(),
            is_known=link is not None and self._is_known(link.url),
        )
        while link is not None:
            attempts.go_on()
            sent = _Sent(source, offset, wanted.size_bytes, self._moved)
            if self._is_put(sent, link, attempts):
                return
            self.advance(-sent.sent_bytes)
            if attempts.wants_link:
                link = links.renewed(wanted.digest, link)
        self.advance(wanted.size_bytes)

    def _is_put(self, sent: _Sent, link: ObjectUpload, attempts: Attempts) -> bool:
        headers = {**link.headers, "Content-Length": str(sent.size_bytes)}
        try:
            with self._connections.request("PUT", link.url, headers, sent.send) as reply:
                reply.read()
            _known_stores.add(urlsplit(link.url).netloc)
        except http.HttpRefusal as refused:
            if refused.status == _ALREADY_THERE:
                self.advance(sent.size_bytes - sent.sent_bytes)
            elif not attempts.refused(refused.status):
                raise InvalidState(
                    f"The store refused '{sent.source.path.name}' ({refused.status}): it changed "
                    "while it was uploaded, or the upload took too long. Retry."
                ) from None
            return refused.status == _ALREADY_THERE
        except (OSError, HTTPException) as error:
            attempts.failed(error)
            return False
        return True

    def get(self, wanted: Object, links: Links[str], path: str, sink: IO[bytes]) -> None:
        """Download an object into `sink`, at its present position, and verify it.

        After a broken connection the download resumes where it stopped.

        Raises:
            DataLoss: The bytes differ from the digest; names `path`.
            NotFound: The store does not have the object.
            Unavailable: The store cannot be reached.
            ResourceExhausted: The disk is full.
        """
        url = links.get(wanted.digest)
        received = _Received(wanted, sink, path, self._moved)
        attempts = Attempts(path, self._stopped)
        while url is not None:
            attempts.go_on(received.size_bytes)
            if self._is_received(received, url, attempts):
                received.check()
                return
            if attempts.wants_link:
                url = links.renewed(wanted.digest, url)
        raise NotFound(f"The server returned no download URL for '{path}'.")

    def _is_received(self, received: _Received, url: str, attempts: Attempts) -> bool:
        try:
            with self._connections.request("GET", url, received.headers()) as reply:
                received.write(reply)
        except http.HttpRefusal as refused:
            if refused.status == _DAMAGED:
                raise received.wrong() from None
            if attempts.refused(refused.status):
                return False
            raise NotFound(
                f"The store refused to return '{received.path}' ({refused.status})."
            ) from None
        except (OSError, HTTPException) as error:
            attempts.failed(error)
            return False
        return True

    def _is_known(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.hostname == self._server or parts.netloc in _known_stores

    def _moved(self, moved_bytes: int) -> None:
        if self._stopped.is_set():
            raise Stopped
        self.advance(moved_bytes)


def _finish(running: Sequence[Future[None]], stopped: threading.Event) -> None:
    """Wait for all; raise the first failure after the others have ended."""
    try:
        wait(running)
    except BaseException:  # Ctrl-C interrupts this thread only
        stopped.set()
        wait(running)
        raise
    failures = [error for future in running if (error := future.exception())]
    failures.sort(key=lambda error: isinstance(error, Stopped))
    if failures:
        raise failures[0]


class _Sent:
    """Upload of a range of a local file."""

    def __init__(self, source: Source, offset: int, size_bytes: int, moved: Advance) -> None:
        self.source = source
        self._offset = offset
        self.size_bytes = size_bytes
        self._moved = moved
        self.sent_bytes = 0

    def send(self, connection: HTTPConnection) -> None:
        """Send the range from its start."""
        self._moved(-self.sent_bytes)
        self.sent_bytes = 0
        with self.source.opened() as file:
            self.source.check(file.fileno())
            while left := self.size_bytes - self.sent_bytes:
                count = connection.sock.sendfile(
                    file, self._offset + self.sent_bytes, min(left, _BLOCK_BYTES)
                )
                if not count:
                    raise self.source.changed()
                self.sent_bytes += count
                self._moved(count)


class _Received:
    """Download of an object, and the bytes received so far."""

    def __init__(self, wanted: Object, sink: IO[bytes], path: str, moved: Advance) -> None:
        self._wanted = wanted
        self._sink = sink
        self.path = path
        self._moved = moved
        self._start = sink.tell()
        self._sha256 = hashlib.sha256()
        self._buffer = memoryview(bytearray(min(_BLOCK_BYTES, wanted.size_bytes + 1)))
        self.size_bytes = 0

    def headers(self) -> dict[str, str]:
        return {"Range": f"bytes={self.size_bytes}-"} if self.size_bytes else {}

    def write(self, reply: HTTPResponse) -> None:
        """Write the body of a response.

        Raises:
            ConnectionError: The body ended early.
        """
        if self.size_bytes and not self._continues(reply):
            self._restart()
        while read := reply.readinto(self._buffer):
            if self.size_bytes + read > self._wanted.size_bytes:
                raise self.wrong()
            block = self._buffer[:read]
            self._sha256.update(block)
            try:
                self._sink.write(block)
            except OSError as error:
                raise unwritten(self.path, error) from None
            self.size_bytes += read
            self._moved(read)
        if reply.length:
            raise ConnectionResetError("the connection broke")

    def check(self) -> None:
        """Refuse bytes that do not match the digest."""
        size_bytes, digest = self._wanted.size_bytes, self._wanted.digest
        if self.size_bytes != size_bytes or self._sha256.hexdigest() != digest:
            raise self.wrong()

    def _continues(self, reply: HTTPResponse) -> bool:
        span = reply.headers.get("content-range", "")
        return reply.status == _PARTIAL and span.startswith(f"bytes {self.size_bytes}-")

    def _restart(self) -> None:
        self._sink.seek(self._start)
        self._sha256 = hashlib.sha256()
        self._moved(-self.size_bytes)
        self.size_bytes = 0

    def wrong(self) -> DataLoss:
        """Return the error for bytes that do not match the digest."""
        return DataLoss(
            f"The bytes of '{self.path}' do not match their digest sha256:{self._wanted.digest}."
        )


def unwritten(path: str, error: OSError) -> ModelyardException:
    """Return the error for a file that could not be written."""
    if error.errno in _FULL:
        return ResourceExhausted(
            f"The disk has no room for '{path}': {error.strerror}. Free some space, then retry."
        )
    return InvalidState(f"'{path}' cannot be written: {error.strerror}.")
