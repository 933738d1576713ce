"""The product with one thing broken, each in a process of its own: the checks must see it.

Each is the real server with one seam patched before it starts. A window that a mutant opens is
held open for some milliseconds, so that a short check can meet it.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Engine, event
from tests.faults.deployment import Dialect

from modelyard_kit.db.rows import NO_VALUES, Rows
from modelyard_kit.db.statements import Values

_WINDOW_S = 0.1
_ACKNOWLEDGED_EARLY_BY_S = 0.1


@dataclass(frozen=True, slots=True)
class Mutant:
    """One thing that is broken.

    Attributes:
        apply: Breaks it in this process.
        role: The service it is in.
        dialect: The database it shows on.
        caught_by: The short check that must see it.
    """

    apply: Callable[[], None]
    role: str
    dialect: Dialect
    caught_by: str


_ROW_LOCK = re.compile(r" FOR (NO KEY |KEY )?(UPDATE|SHARE)\b( OF [\w, ]+)?")


def _no_row_locks() -> None:
    """SELECT … FOR UPDATE reads without a lock."""
    from modelyard_kit.db.statements import Form, Statement

    @event.listens_for(Engine, "before_cursor_execute", retval=True)
    def unlock(*arguments: Any) -> tuple[str, Any]:
        statement, parameters = arguments[2:4]
        return _ROW_LOCK.sub("", statement), parameters

    form = Statement.form

    def unlocked(self: Statement[Any], dialect: str, *, restricted: bool) -> Form:
        found = form(self, dialect, restricted=restricted)
        return found._replace(text=_ROW_LOCK.sub("", found.text))

    Statement.form = unlocked  # type: ignore[method-assign]


def _no_writers_turn() -> None:
    """SQLite's writers all begin at once, and become writers when they first write."""
    from modelyard_kit.db import sqlite
    from modelyard_kit.db.group_commit import Call, GroupCommit

    def run(self: GroupCommit, call: Call[Any], timeout_s: float) -> Any:  # noqa: ARG001 - as there
        with closing(self._connect()) as connection:
            connection.execute("BEGIN")
            call.run(connection)
            connection.execute("COMMIT")
        return call.outcome()

    GroupCommit.run = run  # type: ignore[method-assign]
    sqlite.SqliteDatabase.turn = lambda *_: nullcontext()  # type: ignore[assignment,method-assign]
    sqlite._IMMEDIATE["sqlite_begin"] = "BEGIN DEFERRED"  # noqa: SLF001 - a seam


def _no_lock_of_the_run() -> None:
    """Calls that log to a run neither change nor lock its row first."""
    from modelyard_tracking.operations import runs

    def write_to_run(rows: Rows, run_id: str, now_ms: int) -> int:  # noqa: ARG001 - as there
        return runs.find_run(rows, run_id).experiment_id

    runs.write_to_run = write_to_run


def _no_unique_holder() -> None:
    """The index that allows one holder per stage is dropped."""
    import modelyard_registry.app

    mount = modelyard_registry.app.mount

    def mount_without(server: Any, database: Any, *arguments: Any, **named: Any) -> None:
        with database.engine.begin() as connection:
            connection.exec_driver_sql("DROP INDEX one_holder_per_stage")
        mount(server, database, *arguments, **named)

    modelyard_registry.app.mount = mount_without


def _acknowledged_before_commit() -> None:
    """A call that another one takes along gets its reply before their commit."""
    from modelyard_kit.db.group_commit import Call, GroupCommit

    run, following = Call.run, GroupCommit._next  # noqa: SLF001 - a seam

    def run_and_answer(self: Call[Any], connection: sqlite3.Connection) -> None:
        run(self, connection)
        self.end()

    def end(self: Call[Any]) -> None:
        if self.awake.locked():
            self.awake.release()

    def following_or_pause(self: GroupCommit) -> Call[Any] | None:
        found = following(self)
        if found is None:
            time.sleep(_ACKNOWLEDGED_EARLY_BY_S)
            found = following(self)
        return found

    Call.run = run_and_answer  # type: ignore[method-assign]
    Call.end = end  # type: ignore[method-assign]
    GroupCommit._next = following_or_pause  # type: ignore[method-assign]  # noqa: SLF001 - a seam


def _neighbours_undone_with_a_failed_call() -> None:
    """A call that fails takes back what the other calls of its commit have written."""

    class Undoing(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql.startswith("ROLLBACK TO"):
                super().execute("ROLLBACK")
                super().execute("BEGIN IMMEDIATE")
                sql = "SAVEPOINT one"
            return super().execute(sql, *arguments)

    sqlite3.connect = partial(sqlite3.connect, factory=Undoing)  # type: ignore[assignment]


def _event_in_a_second_transaction() -> None:
    """The change is committed, then its event is written."""
    from modelyard_kit.db.statements import Statement
    from modelyard_registry.statements.events import APPEND

    execute = Rows.execute

    def execute_later(self: Rows, statement: Statement[Any], values: Values = NO_VALUES) -> Any:
        if statement is not APPEND:
            return execute(self, statement, values)
        _after_commit(self, lambda rows: execute(rows, statement, values))
        return []

    Rows.execute = execute_later  # type: ignore[method-assign]


def _idempotency_in_a_second_transaction() -> None:
    """The change is committed, then the reply is stored under its key."""
    from modelyard_kit.rpc import idempotency

    store = idempotency.store_reply

    def keep_later(rows: Rows, key: Any, reply: Any, now_ms: int) -> None:
        _after_commit(rows, lambda later: store(later, key, reply, now_ms))

    idempotency.store_reply = keep_later


def _after_commit(rows: Rows, work: Callable[[Rows], object]) -> None:
    """Do some work in a second transaction, some time after the first."""
    from modelyard_kit.db import base

    def write(is_committed: bool) -> None:  # noqa: FBT001 - as an ending takes it
        time.sleep(_WINDOW_S)
        if is_committed:
            (database,) = base._open  # noqa: SLF001 - the service has one
            database.fast_write(work)

    rows.on_end(write)


def _numbers_from_the_greatest_there_is() -> None:
    """The next number is one more than the greatest that still exists."""
    from modelyard_registry.operations.changes import Change
    from modelyard_registry.statements.model_versions import NUMBERS

    begin = Change.begin.__func__  # type: ignore[attr-defined]  # of a class method

    def begin_at_the_greatest(kind: Any, call: Any, name: str) -> Any:
        change, model = begin(kind, call, name)
        numbers = [number for (number,) in call.rows.execute(NUMBERS, {"name": name})]
        change.names = change.names._replace(next_version=max(numbers, default=0) + 1)
        return change, model

    Change.begin = classmethod(begin_at_the_greatest)  # type: ignore[assignment,method-assign]


def _watch_that_skips() -> None:
    """A resumed watch misses the event after the last one received."""
    from modelyard_registry.servicer.history import History

    watch = History.WatchModels

    def skipping(self: Any, request: Any, context: Any) -> Any:
        if request.after_revision:
            with self.database.read() as session:
                from modelyard_registry.models import ModelName
                from modelyard_registry.operations.chains import position

                newest = position(session, ModelName, request.name)
            request.after_revision = min(request.after_revision + 1, newest)
        return watch(self, request, context)

    History.WatchModels = skipping  # type: ignore[method-assign]


def _merge_that_loses_a_point() -> None:
    """Of the points that a chunk has, the first three outlive a merge."""
    from modelyard_tracking.rules.points import Packed

    add = Packed.__add__

    def merge(self: Packed, other: Packed) -> Packed:
        kept = slice(0, 3 * 8)
        first = Packed(self.steps[kept], self.timestamps[kept], self.values[kept])
        return add(first, other)

    Packed.__add__ = merge  # type: ignore[method-assign]


def _etags_that_do_not_matter() -> None:
    """A write that expects another state is done all the same."""
    from modelyard_registry.operations import model_versions

    model_versions.check_etag = lambda *_: None  # type: ignore[attr-defined]  # imported there


MUTANTS = {
    "row locks removed": Mutant(_no_row_locks, "registry", "postgresql", "promotions"),
    "lock of the run removed": Mutant(_no_lock_of_the_run, "tracking", "postgresql", "points"),
    "writers' turn removed": Mutant(_no_writers_turn, "registry", "sqlite", "promotions"),
    "unique index dropped": Mutant(_no_unique_holder, "registry", "postgresql", "constraints"),
    "acknowledged before commit": Mutant(
        _acknowledged_before_commit, "registry", "sqlite", "kills"
    ),
    "neighbours undone": Mutant(
        _neighbours_undone_with_a_failed_call, "registry", "sqlite", "edits"
    ),
    "event in a second transaction": Mutant(
        _event_in_a_second_transaction, "registry", "postgresql", "kills"
    ),
    "number reused": Mutant(_numbers_from_the_greatest_there_is, "registry", "sqlite", "numbers"),
    "idempotency in a second transaction": Mutant(
        _idempotency_in_a_second_transaction, "registry", "postgresql", "retries"
    ),
    "watch that skips": Mutant(_watch_that_skips, "registry", "sqlite", "watches"),
    "merge that loses a point": Mutant(_merge_that_loses_a_point, "tracking", "sqlite", "points"),
    "etags ignored": Mutant(_etags_that_do_not_matter, "registry", "sqlite", "edits"),
}
