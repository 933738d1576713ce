"""A listening TCP socket for an HTTP server, bound before the server is created."""

from __future__ import annotations

import socket

from modelyard_kit.errors import InvalidArgument

_BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """Bind a listening socket, so that its port is known early.

    Args:
        host: Address or name of this machine.
        port: Port; 0 chooses a free one.

    Raises:
        InvalidArgument: The address is in use, or not one of this machine.
    """
    listener: socket.socket | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        # asyncio disables Nagle's algorithm (40 ms of delay) only if the socket's protocol is TCP,
        # which socket.create_server leaves unset.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        if listener is not None:
            listener.close()
        raise InvalidArgument(
            f"Cannot listen on {host}:{port}: it is in use, or not an address of this machine. "
            "Stop the process that listens there, or choose another address.",
            address=f"{host}:{port}",
        ) from None
    return listener
