"""Warnings while calls wait for a server that is away: a line at the beginning and at the end."""

from __future__ import annotations

import logging
import threading
import time

_QUIET_S = 2.0
"""Waits that are shorter are not reported."""

_logger = logging.getLogger("modelyard")


class _Outages:
    """The servers that calls of this process are waiting for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        """Time on the monotonic clock at which the first call began to wait, by address."""

    def waiting(
        self, uri: str, why: str, begun: float, next_attempt: float, deadline: float
    ) -> None:
        """Report that a call waits for a server, once per outage.

        Args:
            uri: Address of the server.
            why: Sentence that says what is wrong.
            begun: Time on the monotonic clock at which the call was made, seconds.
            next_attempt: Time of its next attempt.
            deadline: Time at which it gives up.
        """
        if next_attempt - begun < _QUIET_S:
            return
        with self._lock:
            is_known = uri in self._since
            self._since.setdefault(uri, begun)
        if not is_known:
            _logger.warning(
                "%s Waiting for up to %.0f s (MODELYARD_TIMEOUT_S).", why, deadline - begun
            )

    def answered(self, uri: str) -> None:
        """Report that a server answers again."""
        if uri not in self._since:
            return
        with self._lock:
            begun = self._since.pop(uri, None)
        if begun is not None:
            away_s = time.monotonic() - begun
            _logger.warning("The server at %s answers again after %.0f s.", uri, away_s)


outages = _Outages()
