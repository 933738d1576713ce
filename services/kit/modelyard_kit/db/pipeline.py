"""Fewer round trips to PostgreSQL: statements whose result is not needed yet wait for the next one.

They are what begins a transaction, and writes that return nothing. `open_database(pipelined=False)`
sends each by itself, which is slower over a network and easier to follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Self, cast

import psycopg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.sql.compiler import SQLCompiler

from modelyard_kit.db.base import LATER

_MOST_WAITING = 100
"""More writes than these, and more rows in one, are not kept in memory but sent."""


class Deferred(NamedTuple):
    """A statement that is sent with the next one, or with the commit."""

    statement: str
    parameters: Any = None
    is_many: bool = False
    rows: int | None = None
    """How many rows it must find; None for any number."""


class PipelinedConnection(psycopg.Connection[Any]):
    """A connection that sends together what need not be waited for one by one.

    That is what begins a transaction, and writes that return nothing: they are sent in one round
    trip with the next statement or, unless rows must be there for them, with the commit. An error
    of theirs is raised then; the server runs nothing that comes after it. psycopg itself begins
    nothing: it is in autocommit mode.
    """

    waiting: tuple[Deferred, ...] = ()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send what waits together with what is executed inside."""
        if not self.waiting:
            yield
            return
        waiting, self.waiting = self.waiting, ()
        sent: list[tuple[Deferred, psycopg.Cursor[Any]]] = []
        with self.pipeline():
            for later in waiting:
                cursor = psycopg.Cursor(self)
                execute: Any = cursor.executemany if later.is_many else cursor.execute
                execute(later.statement, later.parameters)
                sent.append((later, cursor))
            yield
        for later, cursor in sent:
            if later.rows not in {None, cursor.rowcount}:
                raise StaleDataError(
                    f"{cursor.rowcount} rows were there of {later.rows} for: {later.statement}"
                )

    def send(self) -> None:
        with self.sending():
            pass

    def commit(self) -> None:
        if any(later.rows is not None for later in self.waiting):
            self.send()
        if self.waiting:
            self.waiting += (Deferred("COMMIT"),)
            self.send()
        else:
            super().commit()

    def rollback(self) -> None:
        self.waiting = ()
        super().rollback()

    def cursor(self, name: str = "", **options: Any) -> Any:
        if name:  # of the server's kind, which a transaction has to be there for
            self.send()
        return super().cursor(name, **options)


class PipelinedCursor(psycopg.Cursor[Any]):
    rows: int | None = None
    """Of a statement that waits."""

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


def send_with_next(connection: Connection, statement: str) -> None:
    """Have a statement sent with the next one; at once on a connection that is not pipelined."""
    driver = connection.connection.dbapi_connection
    if isinstance(driver, PipelinedConnection):
        driver.waiting += (Deferred(statement),)
    else:
        connection.exec_driver_sql(statement)


def defer_writes(engine: Engine) -> None:
    """Have writes of an engine wait whose result is not needed yet."""
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
    """Have a write wait whose result nobody needs now; false for any other statement."""
    compiled, options = context.compiled, context.execution_options
    if not isinstance(cursor, PipelinedCursor) or not isinstance(compiled, SQLCompiler):
        return False
    count = len(parameters) if is_many else 1
    is_too_much = len(cursor.pipelined.waiting) + count > _MOST_WAITING
    if is_too_much or compiled.effective_returning or "postgresql_begin" in options:
        return False  # in a read it is refused at once
    changes = context.isupdate or context.isdelete
    # With this option the unit of work changes rows, which must be there.
    if changes and "compiled_cache" in options:
        cursor.rows = count
    elif not context.isinsert and not (changes and LATER.items() <= options.items()):
        return False
    cursor.pipelined.waiting += (Deferred(statement, parameters, is_many, cursor.rows),)
    return True
