"""The monitoring port: plain HTTP for probes and scrapers, apart from the service's own port.

`/livez` says that the process lives, `/readyz` whether it can do its work and why not, `/metrics`
what it has done. Kubernetes' own gRPC probe can neither show nor check a certificate.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from modelyard_kit.listening import listen

logger = logging.getLogger(__name__)

_READ_WITHIN_S = 10.0
_STOPS_WITHIN_S = 0.1
_TEXT = "text/plain; charset=utf-8"


class Monitoring:
    """Answers probes and scrapers.

    Args:
        host: Where it listens.
        port: 0 chooses a free one.
        problems: What keeps the process from its work now; nothing if it is ready.

    Raises:
        InvalidArgument: The address is taken, or not one of this machine.
    """

    def __init__(self, host: str, port: int, problems: Callable[[], Sequence[str]]) -> None:
        listener = listen(host, port)
        handler = partial(_Handler, problems)
        self._server = _Server(listener.getsockname()[:2], handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self.port: int = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(_STOPS_WITHIN_S,),
            name="monitoring",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, _request: object, _client_address: object) -> None:
        logger.info("a request for monitoring failed", extra={"cause": repr(sys.exception())})


class _Handler(BaseHTTPRequestHandler):
    timeout = _READ_WITHIN_S

    def __init__(self, problems: Callable[[], Sequence[str]], *connection: Any) -> None:
        self._problems = problems
        super().__init__(*connection)  # answers the request

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/livez":
            self._answer(HTTPStatus.OK, b"ok\n", _TEXT)
        elif path == "/readyz":
            problems = self._problems()
            status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
            self._answer(
                status, "".join(f"{line}\n" for line in problems or ["ok"]).encode(), _TEXT
            )
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, generate_latest(), CONTENT_TYPE_LATEST)
        else:
            body = b"Not found; there are /livez, /readyz and /metrics.\n"
            self._answer(HTTPStatus.NOT_FOUND, body, _TEXT)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "modelyard"

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds; their answers are told where they change."""
