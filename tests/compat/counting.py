"""A proxy that counts requests, between a client and a server."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP_BY_HOP = {"connection", "transfer-encoding", "date", "server"}


@dataclass
class Counted:
    """Requests that passed through a proxy.

    Attributes:
        address: Address of the proxy, such as "http://127.0.0.1:4321".
        statuses: Statuses of the answers, by the last `/mark/<name>` that was requested.
    """

    address: str
    statuses: dict[str, list[int]] = field(default_factory=dict)


@contextmanager
def counting(host: str, port: int) -> Iterator[Counted]:
    """Forward requests to an HTTP server and count its answers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            if self.path.startswith("/mark/"):
                counted.statuses[self.path.removeprefix("/mark/")] = []
                self.answer(200, [], b"")
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            upstream = http.client.HTTPConnection(host, port, timeout=60)
            try:
                headers = {**self.headers, "Host": f"{host}:{port}", "Connection": "close"}
                upstream.request(self.command, self.path, body, headers)
                reply = upstream.getresponse()
                content = reply.read()
            finally:
                upstream.close()
            if counted.statuses:
                [*counted.statuses.values()][-1].append(reply.status)
            self.answer(reply.status, reply.getheaders(), content)

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.forward)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    counted = Counted(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield counted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
