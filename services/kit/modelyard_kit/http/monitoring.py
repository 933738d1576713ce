"""The monitoring port: plain HTTP for probes and scrapers, separate from the service's own port.

`/livez` answers while the process is alive, `/readyz` with the problems that make it not ready, and
`/metrics` with Prometheus metrics. gRPC probes of Kubernetes would not do: they can neither present
nor verify a certificate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from modelyard_kit import descriptors
from modelyard_kit.http import hosts
from modelyard_kit.http.errors import HttpError, Refusals
from modelyard_kit.http.layer import Layer
from modelyard_kit.http.listening import listen
from modelyard_kit.http.requests import Request
from modelyard_kit.http.routing import exact, router
from modelyard_kit.http.server import Server, ServerThread

_GRACE_S = 1


class Monitoring:
    """The server of the monitoring port, on a thread of its own.

    Args:
        host: Address to listen on.
        port: Port; 0 chooses a free one.
        problems: Returns the problems that make the process not ready; may block.

    Raises:
        InvalidArgument: The address is in use, or not one of this machine.
    """

    def __init__(self, host: str, port: int, problems: Callable[[], Sequence[str]]) -> None:
        self._problems = problems
        listener = listen(host, port)
        self.port: int = listener.getsockname()[1]
        routes = [
            exact("/livez", {"GET": self._live}),
            exact("/readyz", {"GET": self._ready}),
            exact("/metrics", {"GET": self._metrics}),
        ]
        # Probes are frequent, so they are not logged; changes of readiness are.
        app = Layer(router(routes, _unknown), _Refusals(), hosts.of_open_port(host), records=False)
        server = Server(app, _GRACE_S, connections=descriptors.MONITORING)
        self._thread = ServerThread(server, listener, "monitoring")
        self._thread.start()

    def close(self) -> None:
        """Close the port."""
        self._thread.stop()

    async def _live(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, _request: Request) -> Response:
        problems = await asyncio.to_thread(self._problems)
        text = "".join(f"{line}\n" for line in problems or ["ok"])
        return PlainTextResponse(text, 503 if problems else 200)

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class _Refusals(Refusals):
    def wrong_method(self, method: str, path: str, allowed: Sequence[str]) -> HttpError:
        refused = super().wrong_method(method, path, allowed)
        refused.status = 501
        return refused


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:
    body = "Not found; there are /livez, /readyz and /metrics.\n"
    await PlainTextResponse(body, 404)(scope, receive, send)
