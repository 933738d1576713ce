"""Which names a server answers to, by the `Host` header of a request.

A page of another site can reach a server through a DNS name that the site points to the server's
address (DNS rebinding). Its requests carry that name, and no header that only our clients send.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from modelyard_kit.errors import PermissionDenied

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*))(?::[0-9]{1,5})?")
_MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Hosts:
    """A rule for the names that a server answers to.

    Attributes:
        accepts: Whether a name is accepted: in lower case, without port and brackets; empty for a
            request of HTTP/1.0 without the header.
        expected: The accepted names, for the error message.
    """

    accepts: Callable[[str], bool]
    expected: str

    def check(self, given: str) -> None:
        """Refuse a request by the value of its `Host` header.

        Raises:
            PermissionDenied: The value is malformed, or not a name of this server.
        """
        match = _HOST.fullmatch(given)
        name = None if match is None else (match[1] or match[2] or "").lower()
        if name is None or not self.accepts(name):
            raise PermissionDenied(
                f"This server does not answer to the name '{given[:_MAX_SHOWN]}'; "
                f"use {self.expected}."
            )


def of_server(host: str, token: str | None) -> Hosts:
    """Return the rule for a port that requires the token, if there is one.

    With a token any name is accepted: a page of another site does not have it. Without one, only
    loopback and the address that the server listens on.
    """
    if token is not None:
        return Hosts(lambda _: True, "a name or address, with or without a port")
    names = _LOOPBACK | {host.lower()}
    known = ", ".join(sorted(names))
    return Hosts(names.__contains__, f"{known}, or start the server with a token")


def of_open_port(host: str) -> Hosts:
    """Return the rule for a port that requires no token on any address, as of monitoring.

    On loopback, only loopback and that address. Elsewhere addresses, which probes and scrapers of
    Kubernetes send, and names without a dot, as containers have: no site of the internet has one.
    """
    if _is_loopback(host):
        names = _LOOPBACK | {host.lower()}
        return Hosts(names.__contains__, ", ".join(sorted(names)))
    return Hosts(_is_local, "an address, or a name without a dot")


def _is_local(name: str) -> bool:
    return bool(name) and ("." not in name or _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
