"""The writer of a SQLite file: calls that wait for it are committed together.

A durable commit takes as long as the statements of several calls. The call that holds the file
therefore takes along those that wait for it: each in a savepoint of its own, then one commit for
all. No call is answered before that commit.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any, Final, Generic

from modelyard_kit.db.base import HasEnded, Result
from modelyard_kit.db.progress import watch
from modelyard_kit.db.rows import Rows, Work
from modelyard_kit.errors import Unavailable

MAX_CALLS: Final = 32
"""Calls of one commit. More would make the first ones wait longer and save little."""


def busy() -> Unavailable:
    """Return the error of a write that has waited too long for other writers."""
    return Unavailable("The database is busy; nothing was written. Try again.")


class Call(Generic[Result]):
    """A call that waits for its turn and its commit.

    Args:
        work: Runs the statements of the call, with the context variables of this thread.
        rows: Returns the rows that it works on.
        has_ended: Whether its result is no longer awaited.
    """

    def __init__(
        self,
        work: Work[Result],
        rows: Callable[[sqlite3.Connection], Rows],
        has_ended: HasEnded | None,
    ) -> None:
        self.leads = False
        self.error: BaseException | None = None
        self.awake = threading.Lock()
        """Released when the call has ended or is to lead."""
        self.awake.acquire()
        self._work = work
        self._make_rows = rows
        self._has_ended = has_ended
        self._context = copy_context()
        self._rows: Rows | None = None
        self._result: Result | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Run the statements."""
        self.error = None
        self._rows = self._make_rows(connection)
        watch(connection, self._has_ended)
        self._result = self._context.run(self._work, self._rows)
        watch(connection, None)

    def end(self) -> None:
        """Wake the thread that waits for the outcome."""
        self.awake.release()

    def outcome(self) -> Result:
        """Return the result, or raise the error."""
        for ending in self._rows.endings if self._rows is not None else ():
            ending(self.error is None)
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]  # set without an error


class GroupCommit:
    """The connection that writes, and the calls that wait for it.

    The calls form a queue. The first one leads: it takes its turn among all writers of the file,
    runs the calls that wait, commits, and hands the lead to the next one in the queue.

    Args:
        connect: Opens the connection.
        turn: Waits until a write may begin; raises `Unavailable` after the time limit.
        committed: Called after each commit.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        turn: Callable[[float], AbstractContextManager[None]],
        committed: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._turn = turn
        self._committed = committed
        self._connection: sqlite3.Connection | None = None
        self._queue: deque[Call[Any]] = deque()
        self._changing = threading.Lock()
        self._is_led = False

    def run(self, call: Call[Result], timeout_s: float) -> Result:
        """Run a call and commit it.

        Raises:
            Unavailable: Other writers did not finish in time.
        """
        with self._changing:
            self._queue.append(call)
            leads, self._is_led = not self._is_led, True
        if leads or self._await(call, timeout_s):
            self._lead(call, timeout_s)
        return call.outcome()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _await(self, call: Call[Any], timeout_s: float) -> bool:
        """Wait until the call has ended, or is to lead; return whether it is to lead."""
        if not call.awake.acquire(timeout=timeout_s):
            with self._changing:
                left = not call.leads and call in self._queue
                if left:
                    self._queue.remove(call)
            if left:
                raise busy()
            call.awake.acquire()  # it runs already, or is next
        return call.leads

    def _lead(self, call: Call[Any], timeout_s: float) -> None:
        try:
            with self._turn(timeout_s):
                self._run_group()
        finally:
            with self._changing:
                if self._queue and self._queue[0] is call:
                    self._queue.popleft()  # its turn did not come
                self._is_led = bool(self._queue)
                if self._is_led:
                    following = self._queue[0]
                    following.leads = True
                    following.awake.release()

    def _run_group(self) -> None:
        group: list[Call[Any]] = []
        has_committed = False
        try:
            while len(group) < MAX_CALLS and (call := self._next()) is not None:
                group.append(call)
                self._run_one(group)
            if self._connection is not None and self._connection.in_transaction:
                self._connection.execute("COMMIT")
                has_committed = True
        except BaseException as failure:  # noqa: BLE001 - raised by each call of the group
            for call in group:
                call.error = failure
            self._undo()
        if has_committed:
            self._committed()
        for call in group:
            call.end()

    def _next(self) -> Call[Any] | None:
        with self._changing:
            return self._queue.popleft() if self._queue else None

    def _run_one(self, group: list[Call[Any]]) -> None:
        call = group[-1]
        connection = self._connection = self._connection or self._connect()
        is_first = not connection.in_transaction
        connection.execute("BEGIN IMMEDIATE" if is_first else "SAVEPOINT one")
        try:
            call.run(connection)
        except Exception as failure:  # noqa: BLE001 - raised where the call waits
            call.error = failure
            watch(connection, None)
            if connection.in_transaction:
                connection.execute("ROLLBACK" if is_first else "ROLLBACK TO one")
            elif not is_first:
                self._run_again(group)
                return
        if not is_first:
            connection.execute("RELEASE one")

    def _run_again(self, group: list[Call[Any]]) -> None:
        """Put the other calls of a group back: SQLite has undone them with the one that failed.

        It ends a whole transaction when a statement is interrupted or the disk is full.
        """
        failed = group.pop()
        with self._changing:
            self._queue.extendleft(reversed(group))
        group[:] = [failed]

    def _undo(self) -> None:
        """Forget a connection whose transaction could not be ended as planned."""
        try:
            self.close()
        except sqlite3.Error:
            self._connection = None
