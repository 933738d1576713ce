"""Accepts the connections of a port, within a limit below that of open files."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import ClassVar

from modelyard_kit.observability.bounded_log import BoundedLog

logger = logging.getLogger(__name__)


class Acceptor:
    """Accepts connections; takes the place of asyncio's server, which accepts any number.

    When the limit is reached, or descriptors have run out, the connection that has been idle for
    the longest time is closed. A connection is idle while the server waits for its client: for the
    TLS handshake, a request, the rest of a body, or until an answer is read. If none is idle, the
    new one is closed. No address has a share of its own, since all clients behind a proxy have the
    same one.

    Args:
        listener: Listening socket; not closed here.
        make: Makes the protocol of a connection.
        limit: Number of open connections.
        context: For TLS; None without.
    """

    handshake_within_s: ClassVar[float] = 10.0
    """Time limit for a TLS handshake."""
    retry_after_s: ClassVar[float] = 1.0
    """Pause after an `accept` that failed for lack of resources, with no idle connection."""
    fewer_for_s: ClassVar[float] = 60.0
    """How long fewer connections are held after such a failure."""

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[Acceptor], asyncio.Protocol],
        limit: int,
        context: ssl.SSLContext | None,
    ) -> None:
        self._listener = listener
        self._make = make
        self._limit = self._allowed = limit
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._open: dict[asyncio.BaseProtocol, asyncio.Task[asyncio.Transport]] = {}
        self._idle: dict[asyncio.BaseProtocol, None] = {}
        """Idle connections, the oldest first."""
        self._retry: asyncio.TimerHandle | None = None
        self._restore = self._loop.call_later(0, self._hold_all)
        self._full = BoundedLog(logger, "too many connections")
        self._failed = BoundedLog(logger, "no connection can be accepted")
        listener.settimeout(0)
        self._listen()

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached and no connection is idle."""
        return len(self._open) >= self._allowed and not self._idle

    def busy(self, protocol: asyncio.BaseProtocol) -> None:
        """Note that the server works on a request of a connection."""
        self._idle.pop(protocol, None)

    def idle(self, protocol: asyncio.BaseProtocol) -> None:
        """Note that the server waits for the client of a connection from now on."""
        if protocol in self._open:
            self._idle.pop(protocol, None)
            self._idle[protocol] = None

    def forget(self, protocol: asyncio.BaseProtocol) -> None:
        """Note that a connection has ended."""
        self._open.pop(protocol, None)
        self._idle.pop(protocol, None)

    def close(self) -> None:
        """Accept no more connections, and end those in their TLS handshake."""
        self._restore.cancel()
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._listener)
        for handshake in self._open.values():
            handshake.cancel()

    def _listen(self) -> None:
        self._retry = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Accept one connection; for the next one the event loop calls again, after other work."""
        try:
            taken, _address = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # no descriptor or no memory is left
            self._failed.note(cause=error.strerror, open=len(self._open))
            if not self._hold_fewer():
                self._loop.remove_reader(self._listener)
                self._retry = self._loop.call_later(self.retry_after_s, self._listen)
            return
        if len(self._open) >= self._allowed:
            self._full.note(limit=self._allowed, idle=len(self._idle))
            if not self._close_oldest():
                taken.close()
                return
        taken.settimeout(0)
        protocol = self._make(self)
        self._open[protocol] = self._loop.create_task(self._begin(taken, protocol))
        self._idle[protocol] = None

    def _hold_fewer(self) -> bool:
        """Hold three quarters of the connections for a while; return whether any was closed.

        The rest of the process needs descriptors too.
        """
        self._allowed = max(1, len(self._open) * 3 // 4)
        self._restore.cancel()
        self._restore = self._loop.call_later(self.fewer_for_s, self._hold_all)
        before = len(self._open)
        while len(self._open) >= self._allowed and self._close_oldest():
            pass
        return len(self._open) < before

    def _hold_all(self) -> None:
        self._allowed = self._limit

    def _close_oldest(self) -> bool:
        """Close the connection that has been idle for the longest time; return False if none is."""
        if not self._idle:
            return False
        oldest = next(iter(self._idle))
        begun = self._open[oldest]
        self.forget(oldest)
        if begun.done():
            begun.result().abort()
        else:
            begun.cancel()
        return True

    async def _begin(self, taken: socket.socket, protocol: asyncio.Protocol) -> asyncio.Transport:
        limit_s = None if self._context is None else self.handshake_within_s
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, taken, ssl=self._context, ssl_handshake_timeout=limit_s
            )
        except (OSError, asyncio.CancelledError):  # the client ended or delayed the handshake
            self.forget(protocol)
            raise asyncio.CancelledError from None
        return transport
