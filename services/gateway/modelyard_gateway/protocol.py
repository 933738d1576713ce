"""HTTP before a request is one: bounds what comes before a body, and refuses as JSON."""

from __future__ import annotations

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 64 << 10
"""The most bytes of a request's line and headers."""


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with a bound on the head of a request, which it does not have."""

    _in_head = False
    _head_bytes = 0
    """What has come of the present head after the chunk it began in."""

    def data_received(self, data: bytes) -> None:
        began_before = self._in_head
        super().data_received(data)
        if began_before and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("")

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        size_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        self._head_bytes = size_bytes
        if size_bytes > MAX_HEAD_BYTES:
            raise ValueError("too large")  # the parser stops, and has `send_400_response` called
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        if self.transport.is_closing():
            return
        status, message = 400, "This is not an HTTP/1.1 request."
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            status = 431
            message = f"The URL and headers are larger than {MAX_HEAD_BYTES >> 10} KiB."
        body = orjson.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": message})
        head = (
            b"content-type: application/json\r\n"
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        )
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()
