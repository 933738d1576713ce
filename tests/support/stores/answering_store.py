"""A store with programmed answers, on a real socket."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A programmed answer.

    Attributes:
        status: HTTP status.
        body: Body of the response.
        headers: Headers other than Content-Length.
        breaks_after: Number of bytes of the body after which the connection is closed.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    breaks_after: int | None = None


@dataclass(slots=True)
class Request:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: Any


@dataclass(slots=True)
class AnsweringStore:
    """Answers in order from `answers`, or by `answer`.

    Attributes:
        url: URL of an object.
        requests: Received requests.
    """

    url: str
    answers: list[Answer] = field(default_factory=list)
    answer: Callable[[Request], Answer] | None = None
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next(self, request: Request) -> Answer:
        with self.lock:
            self.requests.append(request)
            return self.answer(request) if self.answer else self.answers.pop(0)

    @property
    def connections(self) -> int:
        return len({request.peer for request in self.requests})


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: AnsweringStore

    def do_GET(self) -> None:
        self._answer(self.store.next(self._request(b"")))

    def do_PUT(self) -> None:
        if self.headers.get("x-refused"):
            self.close_connection = True
            self._answer(self.store.next(self._request(b"")))
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(self.store.next(self._request(body)))

    def _request(self, body: bytes) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(str(self.command), self.path, headers, body, self.client_address)

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[: answer.breaks_after])
        if answer.breaks_after is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True  # they would wait for the next request of a kept connection

    def handle_error(self, *_: object) -> None:
        """Do not print tracebacks about clients that disconnect."""


@contextmanager
def answering_store(
    context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[AnsweringStore]:
    """Run a store, with TLS if a context is given."""
    handler: Any = type("Handler", (_Handler,), {})
    with _Server((host, 0), handler) as server:
        if context:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if context else "http"
        store = AnsweringStore(f"{scheme}://{host}:{server.server_address[1]}/object?signature=1")
        handler.store = store
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield store
        finally:
            server.shutdown()
            thread.join()
