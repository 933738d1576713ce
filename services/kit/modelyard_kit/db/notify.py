"""Following a growing list of rows: wake when something was committed, read what is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

HEARTBEAT_S = 15.0
_POLL_S = 1.0  # another process may have written: a wake-up comes from this one only

Item = TypeVar("Item")


class Notifier:
    """Wakes whoever follows a table. A wake-up carries nothing: the table is what counts."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def notify(self) -> None:
        """Wake everybody who waits."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def count(self) -> int:
        """Return how many notifications there were so far."""
        with self._changed:
            return self._count

    def wait_beyond(self, count: int, timeout_s: float) -> int:
        """Block until there were more than `count` notifications, or until the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > count, timeout_s)
            return self._count


def follow(
    read: Callable[[], Sequence[Item]], notifier: Notifier, is_active: Callable[[], bool]
) -> Iterator[Item | None]:
    """Yield what `read` finds, again and again, for as long as somebody listens.

    Args:
        read: Returns the rows after those it returned before, in order; at most a page.
        notifier: Wakes it.
        is_active: False ends the iteration within a second.

    Yields:
        Each row once; None first, and whenever nothing was yielded for 15 seconds.
    """
    yield None
    quiet_since = time.monotonic()
    while is_active():
        seen = notifier.count()
        rows = read()
        yield from rows
        if rows:
            quiet_since = time.monotonic()
            continue
        if time.monotonic() - quiet_since >= HEARTBEAT_S:
            yield None
            quiet_since = time.monotonic()
        notifier.wait_beyond(seen, _POLL_S)
