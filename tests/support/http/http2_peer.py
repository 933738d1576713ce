"""HTTP/2 frames by hand, for calls that no gRPC library sends: silent, begun and dripping ones."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
ACK = END_STREAM = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE = 4
_FRAME_HEAD = 9


class Http2Peer:
    """One connection, which answers settings and pings, and reads and forgets the rest.

    Args:
        target: `host:port` of the server.
        window: Bytes of each reply that the server may send.
    """

    def __init__(self, target: str, window: int = 65_535) -> None:
        host, _, port = target.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._next_stream = 1
        self._ended: set[int] = set()
        self._changed = threading.Condition()
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self._socket.sendall(PREFACE + _frame(SETTINGS, 0, 0, settings))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # the server has closed it
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def open(self, path: str, metadata: Iterable[tuple[str, bytes]] = ()) -> int:
        """Send the head of a call; return its stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        self._socket.sendall(_frame(HEADERS, END_HEADERS, stream, _head(path, metadata)))
        return stream

    def send(self, stream: int, data: bytes, *, ends: bool = False) -> None:
        """Send bytes of a call's messages, which may be a part of one."""
        self._socket.sendall(_frame(DATA, END_STREAM if ends else 0, stream, data))

    def drip(self, streams: Iterable[int], prefix: bytes, byte: bytes) -> None:
        """Begin a message of each call, then send single bytes, until a call has ended."""
        for stream in streams:
            self.send(stream, prefix)
        while not self._ended:
            for stream in streams:
                self.send(stream, byte)
            with self._changed:
                self._changed.wait(0.05)

    def wait_until_ended(self, count: int) -> set[int]:
        """Wait until the server has ended so many calls; return the ended ones."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._ended) >= count, 30)
            return set(self._ended)

    def _run(self) -> None:
        with suppress(OSError):  # the connection was closed, by either side
            self._answer()

    def _answer(self) -> None:
        received = b""
        while data := self._socket.recv(65_536):
            received += data
            while len(received) >= _FRAME_HEAD:
                end = _FRAME_HEAD + int.from_bytes(received[:3])
                if len(received) < end:
                    break
                kind, flags = received[3], received[4]
                stream, payload = int.from_bytes(received[5:9]), received[_FRAME_HEAD:end]
                received = received[end:]
                if kind in {SETTINGS, PING} and not flags & ACK:
                    self._socket.sendall(_frame(kind, ACK, 0, payload if kind == PING else b""))
                if kind == RST_STREAM or (kind in {DATA, HEADERS} and flags & END_STREAM):
                    with self._changed:
                        self._ended.add(stream)
                        self._changed.notify_all()


def message(data: bytes) -> bytes:
    """Return a serialized message with gRPC's prefix."""
    return struct.pack(">BI", 0, len(data)) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + struct.pack(">BBI", kind, flags, stream) + payload


def _head(path: str, metadata: Iterable[tuple[str, bytes]]) -> bytes:
    pairs = [
        (":method", b"POST"),
        (":scheme", b"http"),
        (":path", path.encode()),
        (":authority", b"test"),
        ("te", b"trailers"),
        ("content-type", b"application/grpc"),
        *metadata,
    ]
    return b"".join(b"\0" + _text(key.encode()) + _text(value) for key, value in pairs)


def _text(data: bytes) -> bytes:
    """Return a text as HPACK writes it, its length first, without Huffman's code."""
    size = len(data)
    if size < 127:
        return bytes([size]) + data
    size -= 127
    prefix = b"\x7f"
    while size >= 128:
        prefix += bytes([size % 128 + 128])
        size //= 128
    return prefix + bytes([size]) + data
