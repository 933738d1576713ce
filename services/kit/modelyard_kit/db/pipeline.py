"""Fewer round trips to PostgreSQL: statements whose result is not needed yet are deferred.

Deferred are the statements that begin a transaction, and writes that return nothing.
`open_database(pipelined=False)` sends each by itself, which is slower over a network but easier to
follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Self, cast

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.sql.compiler import SQLCompiler

from modelyard_kit.db.base import LATER

MAX_DEFERRED = 100
"""Limit of deferred writes, counting each row of a bulk write; beyond it, writes are sent."""


class Deferred(NamedTuple):
    """A statement that is sent together with the next one, or with the commit."""

    statement: str
    parameters: Any = None
    is_many: bool = False
    rows: int | None = None
    """Number of rows that it must affect; None for any number."""


class PipelinedConnection(psycopg.Connection[Any]):
    """A connection that defers statements.

    Deferred statements are sent in one round trip with the next statement or, unless they must
    affect a certain number of rows, with the commit. Their errors are raised then; the server runs
    no statement after a failed one. psycopg is in autocommit mode, so it begins no transactions
    itself.
    """

    deferred: tuple[Deferred, ...] = ()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send the deferred statements together with those executed inside the block."""
        if not self.deferred:
            yield
            return
        deferred, self.deferred = self.deferred, ()
        sent: list[tuple[Deferred, psycopg.Cursor[Any]]] = []
        with self.pipeline():
            for later in deferred:
                cursor = psycopg.Cursor(self)
                statement: Any = later.statement
                if later.is_many:
                    cursor.executemany(statement, later.parameters)
                else:
                    cursor.execute(statement, later.parameters)
                sent.append((later, cursor))
            yield
        for later, cursor in sent:
            if later.rows not in {None, cursor.rowcount}:
                raise StaleDataError(
                    f"{cursor.rowcount} of {later.rows} expected rows affected by: "
                    f"{later.statement}"
                )

    def send(self) -> None:
        """Send the deferred statements now."""
        with self.sending():
            pass

    def commit(self) -> None:
        if any(later.rows is not None for later in self.deferred):
            self.send()
        if self.deferred:
            self.deferred += (Deferred("COMMIT"),)
            self.send()
        else:
            super().commit()

    def rollback(self) -> None:
        self.deferred = ()
        super().rollback()

    def cursor(self, name: str = "", **options: Any) -> Any:
        if name:  # a server-side cursor, which needs an open transaction
            self.send()
        return super().cursor(name, **options)


class PipelinedCursor(psycopg.Cursor[Any]):
    """A cursor that sends the deferred statements of its connection with its own."""

    rows: int | None = None
    """Expected row count of a deferred statement."""

    @property
    def pipelined(self) -> PipelinedConnection:
        return cast(PipelinedConnection, self.connection)

    @property
    def rowcount(self) -> int:
        return super().rowcount if self.rows is None else self.rows

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        with self.pipelined.sending():
            return super().execute(query, params, **options)

    def executemany(self, query: Any, params_seq: Iterable[Any], **options: Any) -> None:
        with self.pipelined.sending():
            super().executemany(query, params_seq, **options)


def send_with_next(connection: psycopg.Connection[Any], statement: str) -> None:
    """Defer a statement; on a connection that is not pipelined, execute it at once."""
    if isinstance(connection, PipelinedConnection):
        connection.deferred += (Deferred(statement),)
    else:
        connection.execute(cast(Any, statement))


def defer_writes(engine: Engine) -> None:
    """Defer the writes of an engine whose result is not needed yet."""
    event.listen(engine, "do_execute", partial(_send_later, is_many=False))
    event.listen(engine, "do_executemany", partial(_send_later, is_many=True))


def _send_later(
    cursor: psycopg.Cursor[Any],
    statement: str,
    parameters: Any,
    context: DefaultExecutionContext,
    *,
    is_many: bool,
) -> bool:
    """Defer a write whose result is not needed yet; return False for any other statement."""
    compiled, options = context.compiled, context.execution_options
    if not isinstance(cursor, PipelinedCursor) or not isinstance(compiled, SQLCompiler):
        return False
    count = len(parameters) if is_many else 1
    is_too_much = len(cursor.pipelined.deferred) + count > MAX_DEFERRED
    if is_too_much or compiled.effective_returning or "postgresql_begin" in options:
        return False  # a write in a read transaction fails at once
    changes = context.isupdate or context.isdelete
    # This option marks changes of the unit of work, whose rows must exist.
    if changes and "compiled_cache" in options:
        cursor.rows = count
    elif not context.isinsert and not (changes and LATER.items() <= options.items()):
        return False
    cursor.pipelined.deferred += (Deferred(statement, parameters, is_many, cursor.rows),)
    return True
