"""An HTTP port of this machine, and how tests ask it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers by lower-case name, and body."""


class HttpPort:
    """What has a port that answers HTTP."""

    port: int

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        finally:
            connection.close()
