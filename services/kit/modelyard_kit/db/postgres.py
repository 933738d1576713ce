"""PostgreSQL by psycopg 3: several processes may share one database.

A read is REPEATABLE READ and read-only; a write is READ COMMITTED and locks the rows it depends on.
What begins a transaction is sent with its first statement, and a connection from the pool is looked
at, not tried: neither costs a round trip. Text compares and sorts by code point, as in SQLite,
whatever the server's locale.
"""

from __future__ import annotations

import logging
import select
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, NamedTuple, Self, cast

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.sql.compiler import SQLCompiler

from modelyard_kit.db import locks
from modelyard_kit.db.base import LATER, Conflict, Database
from modelyard_kit.errors import (
    DeadlineExceeded,
    Error,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)

logger = logging.getLogger(__name__)
# It warns that what follows an error in a pipeline was not run.
logging.getLogger("psycopg").setLevel(logging.ERROR)

OLDEST_VERSION = 14

STATEMENT_TIMEOUT_S = 5.0
_LOCK_TIMEOUT_S = 2.0
_IDLE_TIMEOUT_S = 10.0
_RECYCLE_S = 30 * 60
_CONNECT = {
    "connect_timeout": 5,  # seconds
    "application_name": "modelyard",
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,  # ms; without it a dead server is found after minutes
}
_SETTINGS = {
    "statement_timeout": STATEMENT_TIMEOUT_S,
    "lock_timeout": _LOCK_TIMEOUT_S,
    "idle_in_transaction_session_timeout": _IDLE_TIMEOUT_S,
}
_DURABLE = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
}
"""Values with which an acknowledged commit survives a crash of the server."""

_UNDONE = "nothing was written. Try again."
_DOWN = f"The database cannot be reached or is shutting down; {_UNDONE}"
_MEANINGS: dict[str, tuple[type[Error], str]] = {
    "53100": (
        ResourceExhausted,
        "The disk of the database is full; nothing was written. Free some space, then try again.",
    ),
    "55P03": (Unavailable, f"Somebody else is writing the same; {_UNDONE}"),
    "57014": (DeadlineExceeded, "The database took too long over it; nothing was written."),
    "25006": (Unavailable, f"The database takes no writes now; {_UNDONE}"),
    "25P03": (Unavailable, f"The transaction was idle for too long; {_UNDONE}"),
    "22001": (
        InvalidArgument,
        "A text is longer than the database keeps; nothing was written. Shorten it.",
    ),
    "54000": (
        InvalidArgument,
        "Names and keys are longer than an index of the database holds; nothing was written.",
    ),
}
"""By SQLSTATE."""
_COLLIDED = {"40001", "40P01"}  # serialization failure, deadlock
_DOWN_CLASSES = ("08", "53", "57P")  # connection, resources, operator


_MOST_WAITING = 100
"""More writes than these, and more rows in one, are not kept in memory but sent."""
_BEGIN_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_READING = {"postgresql_begin": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}


class _Later(NamedTuple):
    """A statement that is sent with the next one, or with the commit."""

    statement: str
    parameters: Any = None
    is_many: bool = False
    rows: int | None = None
    """How many rows it must find; None for any number."""


class _Session(psycopg.Connection[Any]):
    """A connection that sends together what need not be waited for one by one.

    That is what begins a transaction, and writes that return nothing: they are sent in one round
    trip with the next statement or, unless rows must be there for them, with the commit. An error
    of theirs is raised then; the server runs nothing that comes after it. psycopg itself begins
    nothing: it is in autocommit mode.
    """

    waiting: tuple[_Later, ...] = ()

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send what waits together with what is executed inside."""
        if not self.waiting:
            yield
            return
        waiting, self.waiting = self.waiting, ()
        sent: list[tuple[_Later, psycopg.Cursor[Any]]] = []
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
            self.waiting += (_Later("COMMIT"),)
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


class _Cursor(psycopg.Cursor[Any]):
    rows: int | None = None
    """Of a statement that waits."""

    @property
    def session(self) -> _Session:
        return cast(_Session, self.connection)

    @property
    def rowcount(self) -> int:
        return super().rowcount if self.rows is None else self.rows

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        with self.session.sending():
            return super().execute(query, params, **options)

    def executemany(self, query: Any, params_seq: Iterable[Any], **options: Any) -> None:
        with self.session.sending():
            super().executemany(query, params_seq, **options)


class PostgresDatabase(Database):
    """A database of a PostgreSQL server."""

    remedy = (
        "Check its URL, whether the server runs, and what the role may do; each service needs a "
        "database or a schema of its own."
    )

    def turn(self, timeout_s: float) -> nullcontext[None]:
        return nullcontext()

    def limit(self, session: Session, timeout_s: float) -> None:
        if timeout_s < STATEMENT_TIMEOUT_S:
            timeout_ms = max(int(timeout_s * 1000), 1)
            limit = _Later(f"SET LOCAL statement_timeout = {timeout_ms}")
            _session_of(session.connection()).waiting += (limit,)

    def explain(self, error: DBAPIError) -> Error | Conflict | None:
        failure = error.orig
        if isinstance(failure, psycopg.IntegrityError):
            return Conflict(failure.sqlstate)
        if not isinstance(failure, psycopg.Error):
            return None
        lost = isinstance(failure, psycopg.OperationalError) and failure.sqlstate is None
        state = "08000" if lost else failure.sqlstate or ""
        if state in _COLLIDED:
            return Conflict(state)
        down = (Unavailable, _DOWN) if state.startswith(_DOWN_CLASSES) else None
        meaning = _MEANINGS.get(state, down)
        return None if meaning is None else meaning[0](meaning[1])

    def risk(self, connection: Connection) -> str:
        version = int(str(connection.scalar(text("SHOW server_version_num")))) // 10_000
        if version < OLDEST_VERSION:
            return f"PostgreSQL {version} is too old; use {OLDEST_VERSION} or newer."
        for name, durable in _DURABLE.items():
            value = connection.scalar(text(f"SELECT current_setting('{name}')"))
            if value not in durable:
                return (
                    f"PostgreSQL runs with {name}={value}, which can lose acknowledged writes; "
                    f"set it to {' or '.join(durable)}."
                )
        if connection.scalar(text("SHOW data_checksums")) != "on":
            logger.warning(
                "PostgreSQL runs without data checksums: it would not notice what a disk changes; "
                "switch them on with pg_checksums --enable"
            )
        return ""

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        with self.engine.begin() as connection:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            locks.hold(connection, locks.MIGRATIONS)
            others = _texts(connection)
            yield connection
            _sort_by_code_point(connection, _texts(connection) - others)


def open_postgres(url: URL, pool_size: int) -> PostgresDatabase:
    """Make a pool for a PostgreSQL database; nothing is connected yet.

    Raises:
        InvalidArgument: The URL has an option that there is not.
    """
    try:
        make_conninfo("", **dict.fromkeys(url.query, "x"))
    except psycopg.ProgrammingError as error:
        raise InvalidArgument(
            f"The database URL cannot be used: {str(error).splitlines()[0]}."
        ) from None
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_recycle=_RECYCLE_S,
        isolation_level="AUTOCOMMIT",  # SQLAlchemy's begin event says BEGIN
        hide_parameters=True,  # what users log does not belong into our log
        connect_args={name: value for name, value in _CONNECT.items() if name not in url.query},
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "checkout", _replace_if_lost)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "do_execute", partial(_send_later, is_many=False))
    event.listen(engine, "do_executemany", partial(_send_later, is_many=True))
    return PostgresDatabase(engine, reading=_READING, writing={})


def _connect(_dialect: Any, _record: Any, args: Any, options: dict[str, Any]) -> _Session:
    return _Session.connect(*args, cursor_factory=_Cursor, **options)


def _configure(connection: _Session, _record: Any) -> None:
    connection.execute(
        "; ".join(f"SET {name} = {int(seconds * 1000)}" for name, seconds in _SETTINGS.items())
    )


def _replace_if_lost(connection: _Session, _record: Any, _checked_out: Any) -> None:
    """Have another connection made instead of one that the server has ended.

    A server that says something unasked says goodbye. One that vanished is found by keepalives.
    """
    heard = select.poll()
    if not connection.closed:
        heard.register(connection.fileno(), select.POLLIN)
    if connection.closed or heard.poll(0):
        raise DisconnectionError


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if "isolation_level" not in options:  # else psycopg begins as it says, if at all
        _session_of(connection).waiting = (_Later(options.get("postgresql_begin", _BEGIN_WRITE)),)


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
    if not isinstance(cursor, _Cursor) or not isinstance(compiled, SQLCompiler):
        return False
    count = len(parameters) if is_many else 1
    is_too_much = len(cursor.session.waiting) + count > _MOST_WAITING
    if is_too_much or compiled.effective_returning or _READING.items() <= options.items():
        return False  # in a read it is refused at once
    changes = context.isupdate or context.isdelete
    # With this option the unit of work changes rows, which must be there.
    if changes and "compiled_cache" in options:
        cursor.rows = count
    elif not context.isinsert and not (changes and LATER.items() <= options.items()):
        return False
    cursor.session.waiting += (_Later(statement, parameters, is_many, cursor.rows),)
    return True


def _session_of(connection: Connection) -> _Session:
    return cast(_Session, connection.connection.dbapi_connection)


def _texts(connection: Connection) -> set[tuple[str, str, str, int | None]]:
    """Return the text columns that sort as the server's locale does: (table, column, type, length).

    Ours must not.
    """
    found = connection.execute(
        text(
            "SELECT table_name, column_name, data_type, character_maximum_length "
            "FROM information_schema.columns WHERE table_schema = current_schema() "
            "AND data_type IN ('character varying', 'text') "
            "AND collation_name IS DISTINCT FROM 'C'"
        )
    )
    return {(table, column, kind, length) for table, column, kind, length in found}


def _sort_by_code_point(
    connection: Connection, columns: set[tuple[str, str, str, int | None]]
) -> None:
    """Give text columns the collation "C": order, ranges and LIKE are then those of SQLite."""
    quote = connection.dialect.identifier_preparer.quote
    for table, column, kind, length in columns:
        size = "" if length is None else f"({length})"
        connection.exec_driver_sql(
            f'ALTER TABLE {quote(table)} ALTER COLUMN {quote(column)} TYPE {kind}{size} COLLATE "C"'
        )
