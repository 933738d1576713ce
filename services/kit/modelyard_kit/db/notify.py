"""Following a growing table: readers wake up after a commit and read the new rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

HEARTBEAT_S = 15.0
_POLL_S = 1.0  # commits of other processes cause no wake-up

Item = TypeVar("Item")


class Notifier:
    """Wakes the followers of a table. A wake-up carries no data; followers read the table."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def notify(self) -> None:
        """Wake all waiting followers."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def count(self) -> int:
        """Return the number of notifications so far."""
        with self._changed:
            return self._count

    def wait_beyond(self, count: int, timeout_s: float) -> int:
        """Block until there were more than `count` notifications or the timeout has passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > count, timeout_s)
            return self._count


def follow(
    read: Callable[[], Sequence[Item]], notifier: Notifier, is_active: Callable[[], bool]
) -> Iterator[Item | None]:
    """Yield the rows that `read` returns, repeatedly, while the consumer is active.

    Args:
        read: Returns the rows after those it returned before, in order; at most a page.
        notifier: Notified after each commit of this process.
        is_active: Whether the consumer is still connected; False ends the iteration within a
            second.

    Yields:
        Each row once; None at first, and as a heartbeat after 15 seconds without a row.
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
