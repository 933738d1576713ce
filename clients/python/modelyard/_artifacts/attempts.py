"""Retries of transfers to and from the store."""

from __future__ import annotations

import ssl
import threading
import time

from modelyard._transport import tls
from modelyard.exceptions import ModelyardException, ResourceExhausted, Unavailable

_ATTEMPTS = 4  # without progress
_FIRST_BACKOFF_S = 0.2
_MAX_BACKOFF_S = 2.0
_EXPIRED = {401, 403}
_PASSING = {408, 409, 429}  # 409: another client is writing the same object
_SERVER_ERROR = 500
_NO_ROOM = 507


class Stopped(Exception):
    """Another transfer has failed, or the user interrupted."""


class Attempts:
    """Attempts of one transfer: transient failures are retried after 0.2 s, 0.4 s, … 2 s.

    Args:
        name: Name of the file, for messages.
        stopped: Set when the transfer is no longer wanted.
        patience_s: How long to wait for a store that is away, seconds.
        is_known: Whether the store has answered before. Otherwise its address is probably wrong,
            and it gets four attempts.
    """

    def __init__(
        self,
        name: str,
        stopped: threading.Event,
        patience_s: float = 0.0,
        *,
        is_known: bool = False,
    ) -> None:
        self._name = name
        self._stopped = stopped
        self._deadline = time.monotonic() + patience_s
        self._is_known = is_known
        self._failed = 0
        self._has_new_link = False
        self._moved_bytes = 0
        self._failure: ModelyardException | None = None
        self.wants_link = False

    def go_on(self, moved_bytes: int = 0) -> None:
        """Wait before the next attempt.

        Args:
            moved_bytes: Bytes received so far, which need not be sent again.

        Raises:
            Unavailable: The limit of attempts without progress is reached.
        """
        if moved_bytes > self._moved_bytes:
            self._moved_bytes, self._failed, self._has_new_link = moved_bytes, 0, False
        waits = self._is_known and time.monotonic() < self._deadline
        if self._failure and self._failed >= _ATTEMPTS and not waits:
            raise self._failure
        if self._failed:
            self._stopped.wait(min(_FIRST_BACKOFF_S * 2.0 ** (self._failed - 1), _MAX_BACKOFF_S))
        if self._stopped.is_set():
            raise Stopped

    def refused(self, status: int) -> bool:
        """Whether to retry after a refusal.

        Raises:
            ResourceExhausted: The store is full, which is not transient.
        """
        self._is_known = True
        if status == _NO_ROOM:
            raise ResourceExhausted(
                f"The store is full: there is no room for '{self._name}'. Free some space there."
            )
        if status >= _SERVER_ERROR or status in _PASSING:
            self._again(f"The store failed to transfer '{self._name}' ({status}). Retry.")
            return True
        self.wants_link = status in _EXPIRED and not self._has_new_link
        self._has_new_link = True
        return self.wants_link

    def failed(self, error: Exception) -> None:
        """Record that the connection broke or could not be established.

        Raises:
            Unavailable: The store's certificate is not trusted, which is not transient.
        """
        reason = tls.explained(str(error))
        cause = reason or getattr(error, "strerror", None) or str(error) or type(error).__name__
        text = f"The store cannot be reached to transfer '{self._name}': {cause}."
        if reason and isinstance(error, ssl.SSLError):
            raise Unavailable(text) from None
        self._again(text)

    def _again(self, failure: str) -> None:
        self._failed += 1
        self._failure = Unavailable(failure)
        # A store may close the connection instead of refusing an expired URL.
        self.wants_link = self._failed > 1
