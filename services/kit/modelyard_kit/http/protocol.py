"""The HTTP/1.1 protocol: limits and checks of request heads, with errors as JSON."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import ClassVar, cast

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from modelyard_kit.http.accepting import Acceptor
from modelyard_kit.http.errors import HttpError, answer
from modelyard_kit.http.exchange import every_answer
from modelyard_kit.observability import request_ids
from modelyard_kit.observability.bounded_lines import BoundedLines
from modelyard_kit.observability.bounded_log import BoundedLog

MAX_HEAD_BYTES = 64 << 10
"""Maximum size of the request line and headers, and of the trailers of a chunked body."""

_NOT_HTTP = "This is not an HTTP/1.1 request."
_LARGE = f"The URL and headers are larger than {MAX_HEAD_BYTES >> 10} KiB."
_ONCE = {b"host": "Host", b"authorization": "Authorization"}
"""Headers that must not be repeated: proxies and this server could read different values."""
_CODED = "Transfer-Encoding must be chunked, if given; send the body without another encoding."
_UPGRADE = (
    "A request with a body must not have an Upgrade header, as this server only speaks HTTP/1.1; "
    "send it without that header."
)
_LATE = "The request line and headers did not arrive in time."
_NO_HOST = "A request of HTTP/1.1 must have a Host header."
_TARGET = "The request target must be a path, or a URL of the host that the Host header names."
_URL = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_VERSIONS = {"1.0", "1.1"}

_log = logging.getLogger(__name__)
_uvicorn = logging.getLogger(f"{__name__}.uvicorn")
_uvicorn.setLevel(logging.ERROR)  # its warnings are about requests, and without a bound
_bugs = BoundedLines()
_refused = BoundedLog(_log, "not a valid request", level=logging.INFO)


def _is_logged(record: logging.LogRecord) -> bool:
    """Whether an error of uvicorn is logged: not of requests that a stopping server cancels."""
    cause = record.exc_info[1] if record.exc_info else None
    return not isinstance(cause, asyncio.CancelledError) and _bugs.next() is not None


_uvicorn.addFilter(_is_logged)


class _HeadWithBody:
    """The transport of one response: writes its head and the first bytes of its body at once.

    Args:
        cycle: Request and response, whose body follows its head without a wait.
    """

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._transport = cycle.transport
        self._head: bytes | None = None
        self.is_closing = cycle.transport.is_closing

    def write(self, data: bytes) -> None:
        if self._head is None and self._cycle.response_started:
            self._head = data
        else:
            self._transport.write(self._taken() + data)

    def close(self) -> None:
        self._transport.write(self._taken())  # of a response that broke off before its body
        self._transport.close()

    def _taken(self) -> bytes:
        """Return the head if it has not been written."""
        head = self._head or b""
        if head:
            self._head = b""
        return head


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with limits of size and time, and strict checks of heads.

    Args:
        config: Configuration of uvicorn.
        state: State that the connections of a server share.
        acceptor: Accepted the connection, and closes idle ones when it has too many.
    """

    head_within_s: ClassVar[float] = 30.0
    """Time limit for receiving a request head, beginning with the connection."""
    reads_within_s: ClassVar[float] = 60.0
    """Time limit for a client to read data that it was sent."""
    max_pipelined: ClassVar[int] = 64
    """Requests that may wait for the answer to one before them; the connection ends after those. A
    packet can have 10,000 requests, and each takes 3 KiB."""

    _in_head = False
    _head_bytes = 0
    """Size of the current head so far, without the chunk in which it began."""
    _refusal = (400, _NOT_HTTP)
    _head_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None
    _is_cut = False
    """Whether no further requests are read, as too many are waiting."""

    def __init__(self, config: Config, state: ServerState, acceptor: Acceptor) -> None:
        super().__init__(config, state, app_state={})
        self.logger = _uvicorn
        self._acceptor = acceptor

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._acceptor.forget(self)
        self._head_came()
        self._stop_unread_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_cut:
            return
        began_before = self._in_head
        super().data_received(data)
        if began_before and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refusal = 431, _LARGE
                self.send_400_response("")
        if self._is_busy() and self.cycle.more_body:
            self._note_turn()
        if (self._in_head or not self._is_busy()) and self._head_timer is None:
            self._await_head()  # a line break before a head stops uvicorn's own timer

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self.max_pipelined:
            self._is_cut = True
            self.cycle.keep_alive = False  # the client sends what was not answered again
            raise ValueError("too many requests")  # the parser stops
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)
            return
        # A trailer of a chunked body; it must not change the head, which was already processed.
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(431, _LARGE)

    def on_headers_complete(self) -> None:
        size_bytes = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size_bytes > MAX_HEAD_BYTES:
            self._refuse(431, _LARGE)
        self._check_head()
        self._in_head = False
        self._head_bytes = 0
        self._head_came()
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # the parser cannot read further requests

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._note_turn()

    def _check_head(self) -> None:
        names = [name for name, _ in self.headers]
        for name, shown in _ONCE.items():
            if names.count(name) > 1:
                self._refuse(400, f"The header {shown} is given twice, expected once.")
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if any(coding != b"chunked" for coding in codings):
            self._refuse(400, _CODED)
        if self.parser.should_upgrade() and (codings or b"content-length" in names):
            self._refuse(400, _UPGRADE)
        version = self.parser.get_http_version()
        if version not in _VERSIONS:
            self._refuse(400, _NOT_HTTP)
        if version == "1.1" and b"host" not in names:
            self._refuse(400, _NO_HOST)
        if not self.url.startswith(b"/") and self.url != b"*":
            self._check_target()

    def _check_target(self) -> None:
        """Refuse a target that names another host: what follows judges by the header."""
        host = dict(self.headers).get(b"host", b"")
        match = _URL.match(self.url)
        if match is None or match[1].lower() != host.lower():
            self._refuse(400, _TARGET)

    def _refuse(self, status: int, message: str) -> None:
        self._refusal = status, message
        raise ValueError(message)  # the parser stops, and `send_400_response` is called

    def send_400_response(self, msg: str) -> None:
        if self.transport.is_closing() or self._is_cut:
            return
        _refused.note(status=self._refusal[0])
        if self._is_busy() and (self.cycle.response_started or not self.cycle.more_body):
            self.transport.abort()  # an error would be read as the current response or a part of it
            return
        status, message = self._refusal
        request_id = request_ids.kept_or_new("")
        refused = HttpError(status, "INVALID_PARAMETER_VALUE", message, {"connection": "close"})
        response = answer(refused, request_id)
        head = (*response.raw_headers, *every_answer(request_id))
        lines = b"".join(b"%s: %s\r\n" % header for header in head)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + bytes(response.body))
        self._close()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: the request is answered as one without `Upgrade`."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if cycle.scope["method"] != "HEAD":  # whose response is a head alone
            cycle.transport = cast("asyncio.Transport", _HeadWithBody(cycle))
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self._acceptor.idle(self)
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def pause_writing(self) -> None:
        self._start_unread_timer()
        super().pause_writing()
        self._note_turn()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self._stop_unread_timer()
        super().resume_writing()
        self._note_turn()

    def _note_turn(self) -> None:
        """Note who has to act next: the client, by sending or reading, or the server."""
        if not self._is_busy() or self.cycle.more_body or self.flow.write_paused:
            self._acceptor.idle(self)
        else:
            self._acceptor.busy(self)

    def _close(self) -> None:
        """Close the connection once the client has read what was sent, within the limit of time."""
        self.transport.close()
        self._start_unread_timer()

    def _start_unread_timer(self) -> None:
        self._stop_unread_timer()
        self._unread_timer = self.loop.call_later(self.reads_within_s, self.transport.abort)

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_within_s, self._head_is_late)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._is_busy():
            self._await_head()  # the head may have arrived: it is read after the current response
        elif self._in_head:
            self._refusal = 408, _LATE
            self.send_400_response("")
        else:
            self._close()
