"""Calls that wait for SQLite's writer are committed together, and each has its own outcome."""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, select
from sqlalchemy import insert as into
from tests.support.databases.one_table import T

from modelyard_kit.db.base import HasEnded
from modelyard_kit.db.group_commit import MAX_CALLS, Call, GroupCommit
from modelyard_kit.db.rows import Rows, SqliteRows
from modelyard_kit.db.statements import Statement
from modelyard_kit.errors import NotFound, Unavailable

ADD = Statement[tuple[()]](into(T).values(n=bindparam("n")))
ALL = Statement[tuple[int]](select(T.c.n).order_by(T.c.n))
Work = Callable[[Rows], Any]


class _Queue(deque[Any]):
    """Counts the calls that have entered."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Semaphore(0)

    def append(self, call: Any) -> None:
        super().append(call)
        self.entered.release()


class Writer:
    """A group commit whose first turn comes when `begin` is set, and the statements it ran."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin = threading.Event()
        self.statements: list[str] = []
        self.commits = 0
        self.group = GroupCommit(self._connect, self._turn, self._committed)
        self.group._queue = self.queue = _Queue()  # noqa: SLF001 - to await what waits in it

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.set_trace_callback(self.statements.append)
        return connection

    @contextmanager
    def _turn(self, timeout_s: float) -> Iterator[None]:
        if not self.begin.wait(timeout_s):
            raise Unavailable("busy")
        yield

    def _committed(self) -> None:
        self.commits += 1

    def run(self, work: Work, has_ended: HasEnded | None = None, timeout_s: float = 30.0) -> Any:
        return self.group.run(Call(work, SqliteRows, has_ended), timeout_s)

    def run_together(self, *works: Work) -> list[Future[Any]]:
        return self.together(*(partial(self.run, work) for work in works))

    def together(self, *calls: Callable[[], Any]) -> list[Future[Any]]:
        """Make calls of which all wait when the first one gets its turn."""
        self.begin.clear()
        with ThreadPoolExecutor(len(calls)) as threads:
            running = []
            for call in calls:
                running.append(threads.submit(call))
                self.queue.entered.acquire()
            self.begin.set()
        return running

    def stored(self) -> list[int]:
        with sqlite3.connect(self.path) as connection:
            return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (n INTEGER UNIQUE)")
    writer = Writer(path)
    yield writer
    writer.group.close()


def adding(n: int) -> Work:
    def add(rows: Rows) -> int:
        rows.execute(ADD, {"n": n})
        return n

    return add


def refused(rows: Rows) -> None:
    rows.execute(ADD, {"n": 100})
    raise NotFound("refused")


def outcomes(running: Sequence[Future[Any]]) -> list[Any]:
    return [one.exception() or one.result() for one in running]


def test_calls_that_wait_share_one_commit(writer: Writer) -> None:
    running = writer.run_together(*map(adding, range(8)))
    assert outcomes(running) == list(range(8))
    assert writer.statements.count("COMMIT") == writer.commits == 1
    assert writer.stored() == list(range(8))


def test_a_commit_has_a_limited_number_of_calls(writer: Writer) -> None:
    writer.run_together(*map(adding, range(MAX_CALLS + 3)))
    assert writer.commits == 2
    assert len(writer.stored()) == MAX_CALLS + 3


def test_a_lone_call_has_no_savepoint(writer: Writer) -> None:
    writer.begin.set()
    assert writer.run(adding(1)) == 1
    assert [text for text in writer.statements if "INSERT" not in text] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_call_that_fails_takes_nothing_from_its_neighbours(writer: Writer, position: int) -> None:
    works = [adding(1), adding(2)]
    works.insert(position, refused)
    found = outcomes(writer.run_together(*works))
    assert isinstance(found.pop(position), NotFound)
    assert found == [1, 2]
    assert writer.stored() == [1, 2]


def test_calls_are_answered_after_the_commit(writer: Writer) -> None:
    endings: list[list[int]] = []

    def noting(n: int) -> Work:
        def work(rows: Rows) -> None:
            rows.on_end(lambda _committed: endings.append(writer.stored()))
            rows.execute(ADD, {"n": n})

        return work

    writer.run_together(noting(1), noting(2))
    assert endings == [[1, 2], [1, 2]]


def test_a_commit_that_fails_fails_each_call(writer: Writer) -> None:
    def spoil(rows: Rows) -> None:
        rows.execute(ADD, {"n": 3})
        # A violation that is found at the commit.
        connection: sqlite3.Connection = rows._connection  # type: ignore[attr-defined]  # noqa: SLF001 - to spoil it
        connection.execute("PRAGMA defer_foreign_keys=ON")
        connection.execute("INSERT INTO child VALUES (99)")

    with sqlite3.connect(writer.path) as connection:
        connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id INTEGER REFERENCES parent)")
    connect = writer.group._connect  # noqa: SLF001 - a setting of the connection

    def with_foreign_keys() -> sqlite3.Connection:
        connection = connect()
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    writer.group._connect = with_foreign_keys  # noqa: SLF001 - as above
    found = outcomes(writer.run_together(adding(1), spoil, refused))
    assert [type(one) for one in found] == [sqlite3.IntegrityError] * 3
    assert writer.stored() == []
    assert writer.commits == 0
    assert writer.run(adding(1)) == 1


def test_neighbours_of_an_interrupted_statement_run_again(writer: Writer) -> None:
    endless = Statement[tuple[int]](
        into(T)
        .from_select(
            ["n"],
            select(T.c.n).select_from(
                T,
                *(T.alias() for _ in range(12)),  # more rows than can be counted
            ),
        )
        .returning(T.c.n)
    )
    writer.begin.set()
    for n in range(10, 60):
        writer.run(adding(n))

    def interrupted(rows: Rows) -> None:
        rows.execute(endless)

    ended = partial(writer.run, interrupted, lambda: True)
    running = writer.together(partial(writer.run, adding(1)), ended, partial(writer.run, adding(2)))
    first, second, third = outcomes(running)
    assert (first, third) == (1, 2)
    assert isinstance(second, sqlite3.Error)
    assert writer.stored()[:2] == [1, 2]
    assert len(writer.stored()) == 52


def test_a_connection_that_cannot_be_opened_fails_the_calls(writer: Writer) -> None:
    connect, path = writer.group._connect, writer.path  # noqa: SLF001 - to fail it once

    def fail() -> sqlite3.Connection:
        return sqlite3.connect(path.parent, isolation_level=None)

    writer.group._connect = fail  # noqa: SLF001 - as above
    found = outcomes(writer.run_together(adding(1), adding(2)))
    assert [type(one) for one in found] == [sqlite3.OperationalError] * 2
    writer.group._connect = connect  # noqa: SLF001 - as above
    assert writer.run(adding(1)) == 1


def test_a_call_that_waits_too_long_leaves_the_queue(writer: Writer) -> None:
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(writer.run, adding(1))
        writer.queue.entered.acquire()
        late = threads.submit(writer.run, adding(2), None, 0.01)
        assert isinstance(late.exception(), Unavailable)
        writer.begin.set()
        assert first.result() == 1
    assert writer.stored() == [1]


def test_the_next_call_leads_when_the_first_one_had_no_turn(writer: Writer) -> None:
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(writer.run, adding(1), None, 0.05)
        writer.queue.entered.acquire()
        second = threads.submit(writer.run, adding(2))
        assert isinstance(first.exception(), Unavailable)
        writer.begin.set()
        assert second.result() == 2
    assert writer.stored() == [2]


def test_each_call_has_the_context_variables_of_its_thread(writer: Writer) -> None:
    name: ContextVar[str] = ContextVar("name")

    def call(own: str) -> Any:
        name.set(own)
        return writer.run(lambda _rows: name.get())

    assert outcomes(writer.together(partial(call, "a"), partial(call, "b"))) == ["a", "b"]
