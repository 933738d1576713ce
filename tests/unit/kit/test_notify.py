from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from modelyard_kit.db.notify import Notifier, follow


class Log:
    """A growing list of rows, read after the reader's position, at most two at a time."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.position = 0

    def read(self) -> Sequence[int]:
        page = self.rows[self.position : self.position + 2]
        self.position += len(page)
        return page


def following(log: Log, notifier: Notifier, stop: threading.Event) -> Iterator[int | None]:
    return follow(log.read, notifier, lambda: not stop.is_set())


def test_a_heartbeat_comes_first_and_then_each_row_once_in_order() -> None:
    log, notifier, stop = Log(), Notifier(), threading.Event()
    log.rows = [1, 2, 3, 4, 5]
    followed = following(log, notifier, stop)
    assert [next(followed) for _ in range(6)] == [None, 1, 2, 3, 4, 5]
    log.rows += [6]
    notifier.notify()
    assert next(followed) == 6


def test_rows_written_by_another_thread_wake_the_follower() -> None:
    log, notifier, stop = Log(), Notifier(), threading.Event()
    seen: list[int | None] = []
    done = threading.Event()

    def listen() -> None:
        for row in following(log, notifier, stop):
            seen.append(row)
            if row == 99:
                done.set()

    listener = threading.Thread(target=listen)
    listener.start()
    for row in range(100):
        log.rows.append(row)
        notifier.notify()
    assert done.wait(30)
    stop.set()
    notifier.notify()
    listener.join()
    assert [row for row in seen if row is not None] == list(range(100))


def test_it_ends_when_the_consumer_disconnects() -> None:
    stop = threading.Event()
    stop.set()
    assert list(following(Log(), Notifier(), stop)) == [None]
