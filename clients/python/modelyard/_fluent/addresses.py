"""Addresses of the servers in use."""

from __future__ import annotations

from modelyard._transport import connections
from modelyard._transport.connections import set_registry_uri, set_tracking_uri

__all__ = [
    "get_registry_uri",
    "get_tracking_uri",
    "is_tracking_uri_set",
    "set_registry_uri",
    "set_tracking_uri",
]


def get_tracking_uri() -> str:
    """Return the tracking server's address; if none is set, that of the local home.

    The local home's instance is not started; while it is not running, the URI of its folder is
    returned.
    """
    return connections.tracking_uri() or _local_uri()


def get_registry_uri() -> str:
    """Return the address for registered models; the tracking server's unless another is set."""
    return connections.registry_uri() or _local_uri()


def is_tracking_uri_set() -> bool:
    """Whether an address was set, by `set_tracking_uri` or in the environment."""
    return connections.tracking_uri() is not None


def _local_uri() -> str:
    from modelyard._transport import instances

    folder = instances.home()
    found = instances.running(folder)
    return found.http if found else folder.as_uri()
