"""HTTP by the standard library: for discovery, and for bytes of artifacts."""

from __future__ import annotations

import urllib.parse
import urllib.request
from http.client import HTTPResponse
from typing import cast

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def open_url(request: urllib.request.Request, timeout_s: float) -> HTTPResponse:
    """Send a request; proxies of the environment are used, but never for this machine.

    Raises:
        urllib.error.HTTPError: The answer is not a success.
        OSError: There is no answer.
        ValueError: The URL is not of http or https.
    """
    parts = urllib.parse.urlsplit(request.full_url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"expected an http(s) URL, got one of scheme '{parts.scheme}'")
    handlers = [urllib.request.ProxyHandler({})] if parts.hostname in LOOPBACK else []
    opener = urllib.request.build_opener(*handlers)
    return cast(HTTPResponse, opener.open(request, timeout=timeout_s))
