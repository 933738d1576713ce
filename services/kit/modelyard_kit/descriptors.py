"""How many connections a process may hold, by its limit of open files (`ulimit -n`)."""

from __future__ import annotations

import resource

_MAX_OWN = 256  # databases, objects in transfer, workers, connections to other services
_MAX_HTTP = 1024  # each takes up to 300 KiB, with TLS and a head of 64 KiB
_MAX_RPC = 4096
MONITORING = 32
"""Connections of the monitoring port: of probes and scrapers."""


def for_http() -> int:
    """Return the number of HTTP connections: half of the files that the process does not need."""
    return min(_for_clients() // 2, _MAX_HTTP)


def for_rpc() -> int:
    """Return the number of gRPC connections of a port: the other half."""
    return min(_for_clients() // 2, _MAX_RPC)


def _for_clients() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return 2 * _MAX_RPC
    return limit - min(_MAX_OWN, limit // 2)
