"""Refuses requests that a page of another site makes a browser send.

Browsers send some requests across sites without a preflight (`fetch` with `mode: "no-cors"`, forms)
and name the site in `Origin`; newer ones also send its relation to the host in `Sec-Fetch-Site`.
Other clients send neither header, and are not affected.
"""

from __future__ import annotations

import re

from modelyard_kit.errors import PermissionDenied
from modelyard_kit.http.exchange import Exchange

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. Without CORS headers, another site cannot read their responses."""
_OWN = frozenset({"same-origin", "none"})
"""Values of `Sec-Fetch-Site` for pages of this server, and for addresses that the user entered."""
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[^\[\]/?#@:\s]+)(?::([0-9]{1,5}))?")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]/?#@:\s]+)(?::([0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}


def check(exchange: Exchange) -> None:
    """Refuse a request with an unsafe method that comes from a page of another site.

    The scheme of `Origin` is not compared: a proxy in front of this server may end TLS.

    Raises:
        PermissionDenied: `Origin` is not the host of the request, or `Sec-Fetch-Site` names another
            site.
    """
    if exchange.method in _SAFE:
        return
    for site in exchange.all(b"sec-fetch-site"):
        if site not in _OWN:
            raise _refused(f"Sec-Fetch-Site is '{site[:100]}'")
    origins = exchange.all(b"origin")
    if len(origins) > 1:
        raise _refused("Origin is given more than once")
    if origins and not _is_own(origins[0], exchange.header(b"host")):
        host = exchange.header(b"host")
        raise _refused(f"Origin is '{origins[0][:200]}' and Host is '{host[:200]}'")


def _is_own(origin: str, host: str) -> bool:
    given, own = _ORIGIN.fullmatch(origin.lower()), _HOST.fullmatch(host.lower())
    if given is None or own is None:
        return False
    default = _PORTS[given[1]]
    return (given[2], int(given[3] or default)) == (own[1], int(own[2] or default))


def _refused(why: str) -> PermissionDenied:
    return PermissionDenied(
        f"Pages of other sites may not send this request: {why}. A proxy in front of this server "
        "must pass the Host header on as the browser sent it."
    )
