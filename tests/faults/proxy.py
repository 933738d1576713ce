"""A TCP link that can break: between two parties, and at a chosen place in what they say.

Python's own sockets and threads; nothing about it knows gRPC or PostgreSQL.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Self

_CHUNK_BYTES = 65_536


class Direction(Enum):
    """Direction of bytes: from the client (a request), or to it (a reply)."""

    REQUEST = "request"
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a connection breaks.

    Attributes:
        direction: Of the bytes that are watched.
        marker: The connection breaks at the first bytes that contain it; empty for any bytes.
        keep_bytes: How many bytes pass, from the marker's first on, before it breaks. 0 is before
            the message; half of the marker is inside it.
    """

    direction: Direction
    marker: bytes = b""
    keep_bytes: int = 0


class Proxy:
    """Listens on a free port of loopback and passes on to another.

    Args:
        upstream_port: Port on loopback; it needs no listener yet.
    """

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.delay_s = 0.0
        """How long every chunk is held back."""
        self.was_cut = threading.Event()
        """Set when an armed cut has happened."""
        self._flowing = {direction: threading.Event() for direction in Direction}
        for flowing in self._flowing.values():
            flowing.set()
        self._lock = threading.Lock()
        self._cut: Cut | None = None
        self._links: set[_Link] = set()
        self._closed = False
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def arm(self, cut: Cut) -> None:
        """Break the next connection in which `cut` comes true, once."""
        with self._lock:
            self.was_cut.clear()
            self._cut = cut

    def disarm(self) -> None:
        """Forget a cut that has not happened."""
        with self._lock:
            self._cut = None

    def cut(self) -> None:
        """Break every connection now."""
        with self._lock:
            links = tuple(self._links)
        for link in links:
            link.shut()

    def stall(self, *directions: Direction) -> None:
        """Pass nothing on, while every connection stays open; both ways without arguments."""
        for direction in directions or Direction:
            self._flowing[direction].clear()

    def resume(self) -> None:
        """Pass on what was held back, and whatever comes."""
        for flowing in self._flowing.values():
            flowing.set()

    def close(self) -> None:
        """Break every connection and listen no more."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.resume()
        self.cut()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            try:
                far = socket.create_connection(("127.0.0.1", self._upstream_port))
            except OSError:
                near.close()  # as if there were no listener
                continue
            link = _Link(near, far)
            with self._lock:
                self._links.add(link)
            for direction, ends in (
                (Direction.REQUEST, (near, far)),
                (Direction.REPLY, (far, near)),
            ):
                threading.Thread(
                    target=self._pass_on, args=(link, direction, *ends), daemon=True
                ).start()

    def _pass_on(
        self, link: _Link, direction: Direction, source: socket.socket, sink: socket.socket
    ) -> None:
        try:
            while chunk := source.recv(_CHUNK_BYTES):
                if self.delay_s:
                    time.sleep(self.delay_s)
                self._flowing[direction].wait()
                passed = self._until_cut(direction, chunk)
                sink.sendall(chunk if passed is None else chunk[:passed])
                if passed is not None:
                    link.shut()
                    self.was_cut.set()
                    return
            self._flowing[direction].wait()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            link.shut()  # one side is closed, so close the other
        finally:
            if link.one_way_ended():
                with self._lock:
                    self._links.discard(link)

    def _until_cut(self, direction: Direction, chunk: bytes) -> int | None:
        """Return how many bytes of a chunk still pass; None for all, without a cut."""
        with self._lock:
            cut = self._cut
            if cut is None or cut.direction is not direction:
                return None
            position = chunk.find(cut.marker)
            if position < 0:
                return None
            passed = position + cut.keep_bytes
            if not cut.marker and passed > len(chunk):  # so many bytes in all, over chunks
                self._cut = Cut(direction, b"", passed - len(chunk))
                return None
            self._cut = None
            return passed


class _Link:
    """One connection and its other half."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self._sockets = (near, far)
        self._lock = threading.Lock()
        self._ways = 2

    def shut(self) -> None:
        """Break both halves, which wakes the threads that read them."""
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def one_way_ended(self) -> bool:
        """Count a thread that ends; the last one closes, and hears that it is the last."""
        with self._lock:
            self._ways -= 1
            if self._ways:
                return False
        for end in self._sockets:
            end.close()
        return True
