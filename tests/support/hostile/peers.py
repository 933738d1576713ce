"""Peers that hold what they can: silent, slow and heavy ones, on every port of an installation.

They run in a process of their own, so that they take no time of the clients beside them.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from typing import Any, TypeAlias

import grpc
from tests.support.http.http2_peer import Http2Peer

_IDLE = 150
"""Connections that one peer holds open."""
_STREAMS = 100
_EVERY_S = 1.0
"""Pause of a peer between its rounds: what they hold is tested, not how much work they cause."""
_BEGUN = b"\0\0\0\x10\0a"  # one byte of a message of 4,096
_BODY = b'{"run_id":"x","metrics":[' + b'{"key":"a"},' * 600_000 + b'{"key":"a"}]}'

Round: TypeAlias = Callable[[], None]
Header: TypeAlias = tuple[str, bytes]


@dataclass(frozen=True)
class Targets:
    """Ports on the loopback address, and a token that may only read.

    Attributes:
        grpc: Ports of gRPC services, with the path of an RPC that each has.
        http: Ports of HTTP servers, with a path that takes a body.
        viewer: The token.
    """

    grpc: Sequence[tuple[int, str]]
    http: Sequence[tuple[int, str]]
    viewer: str


def attack(targets: Targets, began: Event, stop: Event) -> None:
    """Run every kind of peer until `stop` is set."""
    rounds: list[Round] = []
    for port, path in targets.grpc:
        for metadata in ((), (("authorization", f"Bearer {targets.viewer}".encode()),)):
            rounds += [_Calls(port, path, metadata, part) for part in (b"", _BEGUN)]
        rounds.append(_heavy_call(port, path))
    for port, path in targets.http:
        rounds += [_Connections(port, begin) for begin in _beginnings(path, targets.viewer)]
        rounds.append(_heavy(port, path))
    threads = [threading.Thread(target=_repeat, args=(one, stop)) for one in rounds]
    for thread in threads:
        thread.start()
    began.set()
    for thread in threads:
        thread.join()


def _repeat(one: Round, stop: Event) -> None:
    while not stop.wait(_EVERY_S):
        with suppress(OSError):  # what a server does to them is measured from the other clients
            one()


class _Calls:
    """Keeps calls open on one connection whose requests never come, or do not end."""

    def __init__(self, port: int, path: str, metadata: Sequence[Header], part: bytes) -> None:
        self._port = port
        self._path = path
        self._metadata = metadata
        self._part = part
        self._connection = ExitStack()
        self._peer: Http2Peer | None = None
        self._opened = 0

    def __call__(self) -> None:
        if self._peer is None or self._opened >= _STREAMS:
            self._connection.close()
            self._opened = 0
            self._peer = self._connection.enter_context(Http2Peer(f"127.0.0.1:{self._port}"))
        try:
            for _ in range(_STREAMS // 5):
                stream = self._peer.open(self._path, self._metadata)
                self._opened += 1
                if self._part:
                    self._peer.send(stream, self._part)
        except OSError:
            self._peer = None  # the server closed the connection


class _Connections:
    """Keeps connections open that began a request, and sends a byte more of each now and then."""

    def __init__(self, port: int, beginning: bytes) -> None:
        self._port = port
        self._beginning = beginning
        self._open: list[socket.socket] = []

    def __call__(self) -> None:
        self._open = [one for one in self._open if self._goes_on(one)]
        for _ in range(min(20, _IDLE - len(self._open))):
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            self._open.append(connection)
            connection.sendall(self._beginning)

    def _goes_on(self, connection: socket.socket) -> bool:
        try:
            if self._beginning:
                connection.sendall(b"a")
            connection.settimeout(0)
            if connection.recv(4096):
                return True
        except BlockingIOError:
            return True
        except OSError:
            pass
        connection.close()
        return False


def _beginnings(path: str, viewer: str) -> tuple[bytes, ...]:
    """Return nothing, half a head, and heads without their bodies, without and with a token."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    body = b"Content-Type: application/json\r\nContent-Length: 8000000\r\n"
    token = f"Authorization: Bearer {viewer}\r\n".encode()
    return b"", head + b"X-Long: ", head + body + b"\r\n{", head + body + token + b"\r\n{"


def _heavy(port: int, path: str) -> Round:
    """Send bodies of 7 MB without a token, each on a connection of its own."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY

    def send() -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            connection.recv(4096)

    return send


def _heavy_call(port: int, path: str) -> Round:
    """Call an RPC without a token, with a request of 7 MB."""

    def send() -> None:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_unary(path)
            with suppress(grpc.RpcError):
                call(bytes(7 << 20), timeout=30)

    return send
