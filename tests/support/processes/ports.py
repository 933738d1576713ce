"""Free ports for servers whose port must be known before they start."""

from __future__ import annotations

import itertools
import os
import random
import socket

_COUNT = 1000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_FIRST = 20_000 + _COUNT * (_WORKER % 10)  # below the ephemeral ports of the system
_ports = itertools.cycle(random.sample(range(_FIRST, _FIRST + _COUNT), _COUNT))


def free_port() -> int:
    """Return a free port of loopback, different from those returned to concurrent tests."""
    while True:
        port = next(_ports)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
