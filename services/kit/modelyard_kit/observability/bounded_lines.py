"""Bounds log lines that clients can cause, where each of the first ones is of use."""

from __future__ import annotations

import time
from collections.abc import Callable

_AT_ONCE = 100


class BoundedLines:
    """Bounds the lines about one kind of event: 100 at once, and then one a second.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(_AT_ONCE)
        self._counted_at = clock()
        self._left_out = 0

    def next(self) -> int | None:
        """Return how many lines were left out since the last one; None to leave out this one."""
        now = self._clock()
        self._left = min(self._left + now - self._counted_at, _AT_ONCE)
        self._counted_at = now
        if self._left < 1:
            self._left_out += 1
            return None
        self._left -= 1
        left_out, self._left_out = self._left_out, 0
        return left_out
