"""Log lines at a bounded rate, for events that a client can cause as often as it likes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

PERIOD_S = 60.0


class BoundedLog:
    """Writes at most one line a minute about one kind of event.

    The first event is logged at once; events in the minute after a line are counted, and the next
    line reports their number. An instance is made for each kind that the code knows, never for a
    text of a client, so that clients cannot multiply the lines. Metrics count every event.

    Args:
        logger: Logger of the module in which the event occurs.
        message: Text of the line, the same for each event.
        level: Level of the line.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        logger: logging.Logger,
        message: str,
        *,
        level: int = logging.WARNING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._message = message
        self._level = level
        self._clock = clock
        self._lock = threading.Lock()
        self._next_line = float("-inf")
        self._events = 0

    def note(self, **fields: object) -> None:
        """Count an event, and log it unless the last line is less than a minute old.

        Args:
            fields: Fields of the line. `count` is added: the number of events since the last line,
                this one included.
        """
        with self._lock:
            self._events += 1
            now = self._clock()
            if now < self._next_line:
                return
            self._next_line = now + PERIOD_S
            events, self._events = self._events, 0
        self._logger.log(self._level, self._message, extra={**fields, "count": events})
