"""PostgreSQL through psycopg 3; several processes may share one database.

A read is REPEATABLE READ and read-only; a write is READ COMMITTED and locks the rows it depends on.
Statements are pipelined (`modelyard_kit.db.pipeline`). A connection from the pool is checked for
unsolicited data instead of by a query, which would cost a round trip. Text compares and sorts by
code point, as in SQLite, whatever the server's locale.
"""

from __future__ import annotations

import logging
import select
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, cast

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.orm import Session

from modelyard_kit.auth.scope import Scope
from modelyard_kit.db import locks, pipeline
from modelyard_kit.db.base import (
    DAMAGED,
    Conflict,
    Database,
    HasEnded,
    OutcomeUnknown,
    Result,
)
from modelyard_kit.db.postgres_rows import PostgresRows
from modelyard_kit.db.rows import Ending, Work
from modelyard_kit.errors import (
    DataLoss,
    DeadlineExceeded,
    Error,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)

logger = logging.getLogger(__name__)
# psycopg warns about each pipelined statement that was not run because of an earlier error.
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
    "tcp_user_timeout": 10_000,  # ms; without it a dead server is detected after minutes
}
_SETTINGS = {
    "statement_timeout": STATEMENT_TIMEOUT_S,
    "lock_timeout": _LOCK_TIMEOUT_S,
    "idle_in_transaction_session_timeout": _IDLE_TIMEOUT_S,
}
_PLAN_ONCE = "SET plan_cache_mode = force_generic_plan"
"""For statements on the driver, which find rows by keys: planning took half of their time."""
_PLAN_BY_VALUES = "SET LOCAL plan_cache_mode = auto"
"""For statements of a session, such as searches, whose plan depends on what they look for."""
_DURABLE = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
}
"""Values of settings with which an acknowledged commit survives a crash of the server."""

_UNDONE = "nothing was written. Try again."
_DOWN = f"The database cannot be reached or is shutting down; {_UNDONE}"
_MEANINGS: dict[str, tuple[type[Error], str]] = {
    "53100": (
        ResourceExhausted,
        "The disk of the database is full; nothing was written. Free some space, then try again.",
    ),
    "55P03": (Unavailable, f"Another transaction holds the lock; {_UNDONE}"),
    "57014": (DeadlineExceeded, "A statement exceeded its time limit; nothing was written."),
    "25006": (Unavailable, f"The database is read-only now; {_UNDONE}"),
    "25P03": (Unavailable, f"The transaction was idle for too long; {_UNDONE}"),
    "22001": (
        InvalidArgument,
        "A text is longer than its column in the database; nothing was written. Shorten it.",
    ),
    "XX001": (DataLoss, DAMAGED),
    "XX002": (DataLoss, DAMAGED),
    "54000": (
        InvalidArgument,
        "Names and keys exceed the size limit of a database index; nothing was written.",
    ),
}
"""Errors by SQLSTATE."""
_COLLIDED = {"40001", "40P01"}  # serialization failure, deadlock
_DOWN_CLASSES = ("08", "53", "57P")  # connection, resources, operator
_BEGIN_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_READING = {"postgresql_begin": _BEGIN_READ}


class PostgresDatabase(Database):
    """A database of a PostgreSQL server."""

    remedy = (
        "Check its URL, that the server runs, and the privileges of the role; each service needs a "
        "database or a schema of its own."
    )

    failures = psycopg.Error
    rows_on = PostgresRows

    def _read_rows(
        self, work: Work[Result], timeout_s: float, has_ended: HasEnded | None, scope: Scope
    ) -> Result:
        with self._lent() as connection:
            rows = self._rows(connection, _BEGIN_READ, timeout_s, scope)
            result = work(rows)
            rows.commit()
        return result

    def _write_rows(
        self, work: Work[Result], timeout_s: float, has_ended: HasEnded | None, scope: Scope
    ) -> Result:
        endings: list[Ending] = []
        is_committed = False
        try:
            with self._lent() as connection:
                rows = self._rows(connection, _BEGIN_WRITE, timeout_s, scope)
                endings = rows.endings
                result = work(rows)
                try:
                    rows.commit()
                except psycopg.Error as failure:
                    if connection.closed:
                        raise OutcomeUnknown from failure
                    raise
            is_committed = True
        finally:
            for ending in endings:
                ending(is_committed)
        self.committed()
        return result

    def _rows(
        self, connection: psycopg.Connection[Any], begin: str, timeout_s: float, scope: Scope
    ) -> PostgresRows:
        beginning = [begin, *_limits(timeout_s)]
        defers = isinstance(connection, pipeline.PipelinedConnection)
        return PostgresRows(connection, scope, self._patterns(scope), beginning, defers=defers)

    @contextmanager
    def _lent(self) -> Iterator[psycopg.Connection[Any]]:
        lent = self.engine.raw_connection()
        connection = cast("psycopg.Connection[Any]", lent.dbapi_connection)
        try:
            yield connection
        except BaseException:
            if connection.closed:
                lent.invalidate()
            else:
                lent.close()  # which rolls back
            raise
        lent.close()

    def in_use(self) -> int:
        return 0  # they are the pool's

    def turn(self, timeout_s: float) -> nullcontext[None]:
        return nullcontext()

    def limit(self, session: Session, timeout_s: float, has_ended: HasEnded | None) -> None:
        for statement in _limits(timeout_s):
            pipeline.send_with_next(_driver(session.connection()), statement)

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
                "PostgreSQL runs without data checksums, so it cannot detect corruption of the "
                "disk; enable them with pg_checksums --enable"
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


def open_postgres(url: URL, pool_size: int, *, pipelined: bool = True) -> PostgresDatabase:
    """Create a connection pool for a PostgreSQL database, without connecting yet.

    Args:
        url: URL of the database.
        pool_size: Number of pooled connections.
        pipelined: Whether writes whose result is not needed yet are sent with the next statement.

    Raises:
        InvalidArgument: The URL has an unknown option.
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
        isolation_level="AUTOCOMMIT",  # the begin event below executes BEGIN
        hide_parameters=True,  # data of users does not belong in our log
        connect_args={name: value for name, value in _CONNECT.items() if name not in url.query},
    )
    event.listen(engine, "do_connect", partial(_connect, pipelined=pipelined))
    event.listen(engine, "connect", _configure)
    event.listen(engine, "checkout", _replace_if_lost)
    event.listen(engine, "begin", _begin)
    if pipelined:
        pipeline.defer_writes(engine)
    return PostgresDatabase(engine, reading=_READING, writing={})


def _connect(
    _dialect: Any, _record: Any, args: Any, options: dict[str, Any], *, pipelined: bool
) -> psycopg.Connection[Any]:
    # psycopg deallocates all prepared statements at a rollback, also those of `libpq.exchange`, if
    # it has prepared any itself.
    options["prepare_threshold"] = None
    if pipelined:
        return pipeline.PipelinedConnection.connect(
            *args, cursor_factory=pipeline.PipelinedCursor, **options
        )
    return psycopg.Connection.connect(*args, **options)


def _configure(connection: psycopg.Connection[Any], _record: Any) -> None:
    limits = [f"SET {name} = {int(seconds * 1000)}" for name, seconds in _SETTINGS.items()]
    connection.execute("; ".join([*limits, _PLAN_ONCE]))


def _replace_if_lost(connection: psycopg.Connection[Any], _record: Any, _checked_out: Any) -> None:
    """Replace a pooled connection that the server has closed.

    Unsolicited data on an idle connection means that the server is closing it. TCP keepalives
    detect a server that vanished.
    """
    readable = select.poll()
    if not connection.closed:
        readable.register(connection.fileno(), select.POLLIN)
    if connection.closed or readable.poll(0):
        raise DisconnectionError


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if "isolation_level" not in options:  # else psycopg begins the transaction, if there is one
        begin = str(options.get("postgresql_begin", _BEGIN_WRITE))
        pipeline.send_with_next(_driver(connection), begin)
        pipeline.send_with_next(_driver(connection), _PLAN_BY_VALUES)


def _limits(timeout_s: float) -> list[str]:
    """Return the statement that limits those of a transaction, if the default is too long."""
    if timeout_s >= STATEMENT_TIMEOUT_S:
        return []
    return [f"SET LOCAL statement_timeout = {max(int(timeout_s * 1000), 1)}"]


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.dbapi_connection)


def _texts(connection: Connection) -> set[tuple[str, str, str, int | None]]:
    """Return the text columns sorted by the server's locale, which ours must not be.

    Each is a tuple of table, column, type, and length or None.
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
    """Set the collation "C" on text columns: order, ranges and LIKE are then those of SQLite."""
    quote = connection.dialect.identifier_preparer.quote
    for table, column, kind, length in columns:
        size = "" if length is None else f"({length})"
        connection.exec_driver_sql(
            f'ALTER TABLE {quote(table)} ALTER COLUMN {quote(column)} TYPE {kind}{size} COLLATE "C"'
        )
