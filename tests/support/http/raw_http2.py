"""HTTP/2 by hand, for requests that no gRPC library sends: begun, silent and malformed ones."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterable

_HEADERS, _SETTINGS, _PING, _DATA = 1, 4, 6, 0
_ACK, _END_HEADERS = 1, 4
_FRAME_HEAD_BYTES = 9
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SHORT = 127


class RawHttp2:
    """One connection to a gRPC port of this machine; it answers pings."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(_PREFACE + _frame(_SETTINGS, 0, 0))
        self._stream = 1
        self.is_closed = False
        """Whether the server has closed the connection."""
        threading.Thread(target=self._answer_pings, daemon=True).start()

    def open(self, path: str, part: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> None:
        """Begin a call: send its head, and a part of its request without an end."""
        begun = _frame(_HEADERS, _END_HEADERS, self._stream, _head(path, headers))
        self._socket.sendall(begun + (_frame(_DATA, 0, self._stream, part) if part else b""))
        self._stream += 2

    def close(self) -> None:
        self._socket.close()

    def _answer_pings(self) -> None:
        buffer = b""
        try:
            while data := self._socket.recv(1 << 16):
                buffer = self._answered(buffer + data)
        except OSError:
            pass
        self.is_closed = True

    def _answered(self, buffer: bytes) -> bytes:
        """Answer the complete frames of `buffer`, and return the rest."""
        while len(buffer) >= _FRAME_HEAD_BYTES:
            end = _FRAME_HEAD_BYTES + int.from_bytes(buffer[:3], "big")
            if len(buffer) < end:
                break
            kind, flags, payload = buffer[3], buffer[4], buffer[_FRAME_HEAD_BYTES:end]
            buffer = buffer[end:]
            if kind in {_PING, _SETTINGS} and not flags & _ACK:
                self._socket.sendall(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        return buffer


def _head(path: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a header block in the literal form without compression (RFC 7541, 6.2.2)."""
    pseudo = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")]
    given = [*pseudo, ("te", "trailers"), ("content-type", "application/grpc"), *headers]
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in given)


def _text(text: str) -> bytes:
    """Return a string literal (RFC 7541, 5.2)."""
    data = text.encode()
    size = len(data)
    if size < _SHORT:
        return bytes([size]) + data
    out = bytes([_SHORT])
    size -= _SHORT
    while size >= 0x80:
        out += bytes([size % 0x80 + 0x80])
        size //= 0x80
    return out + bytes([size]) + data


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame (RFC 9113, 4.1)."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + payload
    )
