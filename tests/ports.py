"""Free ports for servers that are told theirs before they start."""

from __future__ import annotations

import secrets
import socket

_PORTS = range(20_000, 30_000)  # below those that the system gives to others meanwhile


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
