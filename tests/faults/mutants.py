"""The product with one thing broken, each in a process of its own: the checks must see it.

Each is the real server with one seam patched before it starts. A window that a mutant opens is
held open for some milliseconds, so that a short check can meet it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event, func, insert, select
from sqlalchemy.orm import Session
from tests.faults.deployment import Dialect

from modelyard_kit.db.rows import Rows

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


def _no_row_locks() -> None:
    """SELECT … FOR UPDATE reads without a lock."""

    @event.listens_for(Engine, "before_cursor_execute", retval=True)
    def unlock(*arguments: Any) -> tuple[str, Any]:
        statement, parameters = arguments[2:4]
        unlocked = re.sub(r" FOR (NO KEY |KEY )?(UPDATE|SHARE)\b( OF [\w, ]+)?", "", statement)
        return unlocked, parameters


def _no_writers_turn() -> None:
    """SQLite's writers all begin at once, and become writers when they first write."""
    from modelyard_kit.db import sqlite

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
    """The caller gets the reply before the commit."""
    from modelyard_kit.db.base import Database, HasEnded

    @contextmanager
    def write(
        self: Database, timeout_s: float = 30.0, has_ended: HasEnded | None = None
    ) -> Iterator[Session]:
        with ExitStack() as undo:
            undo.enter_context(self.turn(timeout_s))
            session = undo.enter_context(self._writing())
            self._begin(session, timeout_s, has_ended)
            yield session
            session.flush()
            later = undo.pop_all()

        def commit() -> None:
            time.sleep(_ACKNOWLEDGED_EARLY_BY_S)
            with later:
                session.commit()
            for callback in self._on_commit:
                callback()

        threading.Thread(target=commit).start()

    Database.write = write  # type: ignore[method-assign]


def _event_in_a_second_transaction() -> None:
    """The change is committed, then its event is written."""
    from modelyard_registry.models import Event
    from modelyard_registry.operations.changes import Change

    record = Change.record

    class WithoutEvents:
        def __init__(self, session: Session) -> None:
            self._session = session

        def __getattr__(self, name: str) -> Any:
            return getattr(self._session, name)

        def add(self, row: Any) -> None:
            columns = Event.__table__.columns.keys()
            values = {name: getattr(row, name) for name in columns}
            _after_commit(self._session, insert(Event).values(values))

    def record_later(self: Any, *arguments: Any, **named: Any) -> None:
        session = self._session
        self._session = WithoutEvents(session)
        try:
            record(self, *arguments, **named)
        finally:
            self._session = session

    Change.record = record_later  # type: ignore[method-assign]


def _idempotency_in_a_second_transaction() -> None:
    """The change is committed, then the reply is stored under its key."""
    from modelyard_kit.rpc import idempotency

    def keep_later(session: Session, key: Any, reply: Any, now_ms: int) -> None:
        values = {
            "principal": key.principal,
            "key": key.key,
            "method": key.method.full_name,
            "request_sha256": key.request_sha256,
            "reply": reply.SerializeToString(),
            "created_ms": now_ms,
        }
        _after_commit(session, insert(idempotency.replies).values(values))

    idempotency.store_reply = keep_later


def _after_commit(session: Session, statement: Any) -> None:
    """Run a statement in a second transaction, some time after the first."""
    engine = session.get_bind().engine

    def write(_session: Session) -> None:
        time.sleep(_WINDOW_S)
        with engine.begin() as connection:
            connection.execute(statement)

    event.listen(session, "after_commit", write, once=True)


def _numbers_from_the_greatest_there_is() -> None:
    """The next number is one more than the greatest that still exists."""
    from modelyard_registry.models import ModelName, ModelVersion
    from modelyard_registry.operations import model_versions

    create = model_versions.create_version

    def create_version(call: Any, name: str, *arguments: Any) -> Any:
        greatest = select(func.max(ModelVersion.version)).where(ModelVersion.name == name)
        names = call.session.get(ModelName, name, with_for_update=True)
        if names is not None:
            names.next_version = (call.session.scalar(greatest) or 0) + 1
        return create(call, name, *arguments)

    model_versions.create_version = create_version  # type: ignore[assignment]


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
