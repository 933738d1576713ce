"""Every server of HTTP, in process: the gateway, `models serve` and the monitoring port."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelyard_gateway.app import Gateway
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.auth.grants import Grant
from modelyard_kit.errors import Unauthenticated
from modelyard_kit.http import hosts
from modelyard_kit.http.listening import listen
from modelyard_kit.http.monitoring import Monitoring
from modelyard_kit.http.server import Server, ServerThread
from modelyard_kit.rpc.server import RpcServer
from modelyard_kit.tls import ServerTls
from modelyard_serving.callers import Callers
from modelyard_serving.endpoint import Endpoint
from modelyard_serving.http import App

NAMES = ("gateway", "models serve", "monitoring")
PATHS = {"gateway": "/version", "models serve": "/version", "monitoring": "/livez"}
"""A path that every caller may ask, by server."""


@dataclass
class Front:
    """A server that listens.

    Attributes:
        port: Its port on loopback.
        path: A path that it answers with 200.
    """

    port: int
    path: str

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with closing(socket.create_connection(("127.0.0.1", self.port), timeout=30)) as raw:
            yield raw

    def ask(self, raw: socket.socket) -> int:
        """Send a valid request over a connection; return the status."""
        raw.sendall(f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return status_of(raw)

    def status(self, sent: bytes) -> int:
        """Send bytes over a connection of their own; return the status."""
        with self.connected() as raw:
            raw.sendall(sent)
            return status_of(raw)


def status_of(raw: socket.socket) -> int:
    """Read an answer from a connection; return its status."""
    with closing(http.client.HTTPResponse(raw)) as reply:
        reply.begin()
        reply.read()
        return reply.status


@contextmanager
def running_front(
    name: str,
    folder: Path,
    *,
    token: str | None = None,
    connections: int | None = None,
    tls: ServerTls | None = None,
) -> Iterator[Front]:
    """Run a server inside the block; the monitoring port takes neither connections nor TLS."""
    if name == "monitoring":
        monitoring = Monitoring("127.0.0.1", 0, list)
        yield Front(monitoring.port, PATHS[name])
        monitoring.close()
        return
    listener = listen("127.0.0.1", 0)
    app = _gateway(folder, token) if name == "gateway" else _endpoint(token)
    server = Server(app, 1, tls, connections)
    app.is_full = server.is_full
    thread = ServerThread(server, listener, name)
    thread.start()
    yield Front(listener.getsockname()[1], PATHS[name])
    thread.stop()
    if isinstance(app, Gateway):
        app.close()


def _gateway(folder: Path, token: str | None) -> Gateway:
    signer = UrlSigner(b"s" * 32, lambda: "http://127.0.0.1")
    store = LocalStore(folder, signer)
    return Gateway([], store, signer, RpcServer().active, host="127.0.0.1", token=token)


def _endpoint(token: str | None) -> App:
    names = hosts.of_server("127.0.0.1", token)
    callers = Callers(token, _no_other_token)
    return App(Endpoint("models:/iris/Production"), callers, 10_000, 60, names)


def _no_other_token(_: str) -> Grant:
    raise Unauthenticated("The token is not valid.")
