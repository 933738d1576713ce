"""The HTTP server of the gateway."""

from __future__ import annotations

import socket

from modelyard_gateway.app import Gateway
from modelyard_kit.http.server import Server, ServerThread
from modelyard_kit.tls import ServerTls


class HttpServer:
    """Serves a gateway on a listening socket.

    Args:
        gateway: Answers the requests.
        listener: Socket from `listen`; closed with the server.
        grace_s: Time for requests in flight to finish after `stop`, in whole seconds.
        tls: Certificate of the server; None for plain HTTP.
    """

    def __init__(
        self,
        gateway: Gateway,
        listener: socket.socket,
        grace_s: int,
        tls: ServerTls | None = None,
    ) -> None:
        self._gateway = gateway
        server = Server(gateway, grace_s, tls)
        gateway.is_full = server.is_full
        self._thread = ServerThread(server, listener, "gateway", gateway.disconnect)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Answer the requests in flight, then close the port and the gateway."""
        self._gateway.stopping = True
        self._thread.stop()
        self._gateway.close()
