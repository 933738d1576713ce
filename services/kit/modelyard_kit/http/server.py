"""The HTTP server: uvicorn on a listening socket, with our protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from modelyard_kit import descriptors
from modelyard_kit.http.accepting import Acceptor
from modelyard_kit.http.protocol import Protocol
from modelyard_kit.observability.bounded_log import BoundedLog
from modelyard_kit.tls import ServerTls

logger = logging.getLogger(__name__)

_KEEP_ALIVE_S = 30
_TICK_S, _TICKS = 1.0, 10
"""How often the date of answers is renewed, and how many of uvicorn's ticks that is."""
_POLL_S = 0.01


class Server(uvicorn.Server):
    """Serves an application on the running event loop; optional features of uvicorn are off.

    Args:
        app: Application that answers the requests.
        grace_s: Time limit for requests in flight during shutdown, whole seconds.
        tls: Certificate of the port; None for plain HTTP.
        connections: Number of open connections; None for the share of HTTP in the files that the
            process may open.
    """

    def __init__(
        self,
        app: ASGIApp,
        grace_s: int,
        tls: ServerTls | None = None,
        connections: int | None = None,
    ) -> None:
        # Disabled for every handler, because it logs URLs with their signatures.
        logging.getLogger("uvicorn.access").disabled = True
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=Protocol,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=grace_s,
                ssl_context_factory=None if tls is None else lambda *_: tls.ssl_context(),
            )
        )
        self._connections = connections or descriptors.for_http()
        self._acceptors: list[Acceptor] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._failed = BoundedLog(logger, "unhandled error of the event loop", level=logging.ERROR)

    def is_full(self) -> bool:
        """Whether new connections are closed at once, as all have a request in flight."""
        return any(acceptor.is_full for acceptor in self._acceptors)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept the connections of listening sockets."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._note_failure)
        self._acceptors = [
            Acceptor(listener, self._protocol, self._connections, self.config.ssl)
            for listener in sockets or []
        ]
        self.started = True

    def stop(self) -> None:
        """Let `serve` answer the requests in flight, then return. Any thread may call this."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the server with it
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def main_loop(self) -> None:
        """Wait for `stop`; uvicorn would look for it ten times a second."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += _TICKS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port, and the connections after their present requests; end late ones.

        As uvicorn does, without its waits of a tenth of a second.
        """
        for acceptor in self._acceptors:
            acceptor.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self._has_requests() and not self.force_exit:  # noqa: ASYNC110 - uvicorn's sets offer no event
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            logger.warning("ended requests that were not answered in time")
            for task in self.server_state.tasks:
                task.cancel()

    def _has_requests(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks)

    def _protocol(self, acceptor: Acceptor) -> Protocol:
        return Protocol(self.config, self.server_state, acceptor)

    def _note_failure(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an exception that no code handles, as asyncio does, but at a bounded rate."""
        lines = traceback.format_exception(context.get("exception"))
        self._failed.note(cause=context["message"], traceback="".join(lines))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process: uvicorn would re-raise them at the end of its shutdown."""
        yield


class ServerThread:
    """Runs a server with an event loop on a thread of its own.

    Args:
        server: Server to run.
        listener: Socket from `listen`; closed with the server.
        name: Name of the thread.
        ended: Awaited on the event loop after the last request; None for nothing.
    """

    def __init__(
        self,
        server: Server,
        listener: socket.socket,
        name: str,
        ended: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._server = server
        self._ended = ended
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(listener),), name=name, daemon=True
        )

    async def _serve(self, listener: socket.socket) -> None:
        try:
            await self._server.serve([listener])
        finally:
            if self._ended is not None:
                await self._ended()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Answer the requests in flight, then close the port."""
        self._server.stop()
        self._thread.join()
