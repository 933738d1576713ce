"""The gateway's port: uvicorn with one event loop on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import uvicorn

from modelyard_gateway.app import Gateway
from modelyard_gateway.protocol import Protocol
from modelyard_kit.tls import ServerTls

_KEEP_ALIVE_S = 30


class HttpServer:
    """Serves a gateway on a listening socket.

    Args:
        gateway: Answers the requests.
        listener: From `listen`; closed with the server.
        grace_s: How long requests in flight may take after `stop`, whole seconds.
        tls: What it shows; None for plain HTTP.
    """

    def __init__(
        self,
        gateway: Gateway,
        listener: socket.socket,
        grace_s: int,
        tls: ServerTls | None = None,
    ) -> None:
        self._gateway = gateway
        # Off whoever attaches handlers: it writes URLs with their signatures.
        logging.getLogger("uvicorn.access").disabled = True
        config = uvicorn.Config(
            gateway,
            loop="asyncio",
            http=Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=grace_s,
            ssl_context_factory=None if tls is None else lambda *_: tls.ssl_context(),
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(listener),), name="gateway", daemon=True
        )

    async def _serve(self, listener: socket.socket) -> None:
        try:
            await self._server.serve([listener])
        finally:
            await self._gateway.disconnect()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Answer the requests in flight, then close the port and the gateway."""
        self._gateway.stopping = True
        self._server.should_exit = True
        self._thread.join()
        self._gateway.close()
