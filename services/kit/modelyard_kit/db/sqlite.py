"""SQLite: one file, opened by one process at a time, which a lock file ensures.

WAL, `synchronous=FULL`, one writer at a time. Python's own transaction handling is switched off, so
that a read is one deferred transaction and a write begins IMMEDIATE. Transactions on the driver
have connections of their own, one of them for writes (`modelyard_kit.db.group_commit`).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from modelyard_kit.auth.scope import Scope
from modelyard_kit.db.base import DAMAGED, Database, HasEnded, Result, usable
from modelyard_kit.db.group_commit import Call, GroupCommit, busy
from modelyard_kit.db.progress import watch
from modelyard_kit.db.rows import SqliteRows, Work
from modelyard_kit.errors import (
    DataLoss,
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)

_FAST_DELETE = "PRAGMA secure_delete=FAST"
"""Overwrites what is deleted where that costs no further write; all of it would slow logging."""
_BUSY_TIMEOUT_S = 20.0
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # NORMAL can lose acknowledged commits in a power failure
    "PRAGMA foreign_keys=ON",
    _FAST_DELETE,
    "PRAGMA case_sensitive_like=ON",  # LIKE is case-sensitive in the filter grammar
    f"PRAGMA busy_timeout={_BUSY_TIMEOUT_S * 1000:.0f}",
)
_OVERWRITING = "overwriting"
"""Key of a connection's information: whether its transaction overwrites all that it deletes."""
_LIMITED = "limited"
"""Key of the information of a session and its connection: whether statements may be ended."""
_EMPTY_LOG = (
    "PRAGMA busy_timeout=1000",  # writers wait meanwhile
    "PRAGMA wal_checkpoint(TRUNCATE)",
    _PRAGMAS[-1],
)
_MIN_FREE_BYTES = 1 << 20
"""With less free space writes may fail, so the service is reported as not ready."""
_CHECKED_BYTES = 32 << 20
"""Files up to this size are checked at each start, which takes a fifth of a second at most."""
_CACHED_STATEMENTS = 48  # of a connection of sessions; one that names 1,000 runs takes 150 KB
_CACHED_ON_DRIVER = 256  # more than a service has; they take lists as one parameter
_PRIMARY = 0xFF  # the part of SQLite's error codes that has the kind of error
_IMMEDIATE = {"sqlite_begin": "BEGIN IMMEDIATE"}


class SqliteDatabase(Database):
    """A SQLite file whose lock this process holds.

    Args:
        engine: Engine of the file.
        lock_file: Descriptor of the locked lock file; closed with the database.
    """

    def __init__(self, engine: Engine, lock_file: int) -> None:
        super().__init__(engine, reading={}, writing=_IMMEDIATE)
        self._lock_file: int | None = lock_file
        self._path = Path(str(engine.url.database))
        self._writer = threading.Lock()
        self._writes = GroupCommit(self._connect, self.turn, self.committed)
        self._readers: list[sqlite3.Connection] = []
        """Idle connections for reads on the driver; the last one returned is the next one lent."""
        self._lent: set[sqlite3.Connection] = set()

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[None]:
        if not self._writer.acquire(timeout=timeout_s):
            raise busy()
        try:
            yield
        finally:
            self._writer.release()

    def limit(self, session: Session, timeout_s: float, has_ended: HasEnded | None) -> None:
        """Have SQLite ask from time to time; `timeout_s` limits the wait for other writers only."""
        if has_ended is None:
            return
        connection = session.connection()
        watch(_driver(connection), has_ended)
        connection.info[_LIMITED] = session.info[_LIMITED] = True

    def unlimit(self, session: Session) -> None:
        if session.info.pop(_LIMITED, False):
            watch(_driver(session.connection()), None)

    def problem(self) -> str:
        problem = super().problem()
        free_bytes = shutil.disk_usage(self._path.parent).free
        if problem or free_bytes >= _MIN_FREE_BYTES:
            return problem
        return "The disk of the database is full: nothing can be written. Free some space."

    def explain(self, error: DBAPIError) -> Error | None:
        match getattr(error.orig, "sqlite_errorcode", 0) & _PRIMARY:
            case sqlite3.SQLITE_INTERRUPT:
                return DeadlineExceeded("The deadline passed before the work was done.")
            case sqlite3.SQLITE_FULL:
                return ResourceExhausted(
                    "The disk of the database is full; nothing was written. Free some space, then "
                    "try again."
                )
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return DataLoss(DAMAGED)
            case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY:
                return Unavailable(
                    "The file of the database cannot be read or written; nothing was written."
                )
        return None

    failures = sqlite3.Error
    rows_on = SqliteRows

    def _read_rows(
        self, work: Work[Result], timeout_s: float, has_ended: HasEnded | None, scope: Scope
    ) -> Result:
        try:
            connection = self._readers.pop()
        except IndexError:  # other threads may take the last one at any time
            connection = self._connect()
        self._lent.add(connection)
        try:
            watch(connection, has_ended)
            try:
                return work(SqliteRows(connection, scope, self._patterns(scope), "BEGIN"))
            finally:
                watch(connection, None)
                if connection.in_transaction:
                    connection.execute("COMMIT")
        finally:
            self._lent.discard(connection)
            if connection.in_transaction:
                connection.close()
            else:
                self._readers.append(connection)

    def _write_rows(
        self, work: Work[Result], timeout_s: float, has_ended: HasEnded | None, scope: Scope
    ) -> Result:
        patterns = self._patterns(scope)
        call = Call(work, lambda connection: SqliteRows(connection, scope, patterns), has_ended)
        return self._writes.run(call, timeout_s)

    def in_use(self) -> int:
        return len(self._lent) + self._writer.locked()

    def _connect(self) -> sqlite3.Connection:
        """Open a connection for transactions on the driver."""
        connection = sqlite3.connect(
            self._path,
            timeout=_BUSY_TIMEOUT_S,
            check_same_thread=False,  # one thread at a time uses it
            cached_statements=_CACHED_ON_DRIVER,
        )
        _configure(connection, None)
        return connection

    def overwrite(self, session: Session) -> None:
        connection = session.connection()
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
        connection.info[_OVERWRITING] = True

    def empty_log(self) -> None:
        """Move the write-ahead log, which has earlier versions of pages, into the file; empty it.

        While another transaction reads, the log stays until a later call.
        """
        with closing(self.engine.raw_connection()) as connection:
            for pragma in _EMPTY_LOG:
                connection.cursor().execute(pragma)

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        with self.engine.execution_options(**_IMMEDIATE).begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection and let another process open the database."""
        super().close()
        self._writes.close()
        while self._readers:
            self._readers.pop().close()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


def open_sqlite(url: URL, pool_size: int) -> SqliteDatabase:
    """Open a SQLite file; create it if it does not exist.

    Raises:
        InvalidArgument: The URL names no file.
        FailedPrecondition: Another process has the database open, or the file is not a database
            that can be read and written.
    """
    if not url.database or url.database == ":memory:":
        raise InvalidArgument("A SQLite database needs a file: sqlite:////folder/file.db.")
    path = Path(url.database)
    lock_file = _lock(path)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        connect_args={"timeout": _BUSY_TIMEOUT_S, "cached_statements": _CACHED_STATEMENTS},
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "checkin", _restore)  # codespell:ignore checkin
    database = SqliteDatabase(engine, lock_file)
    try:
        with usable(path.name), database.write() as session:
            connection = session.connection()  # a file that cannot be written fails to begin
            if path.stat().st_size <= _CHECKED_BYTES:
                _refuse_damaged(path.name, connection)
    except Error:
        database.close()
        raise
    database.require(partial(_require_same_file, path, path.stat().st_ino), repeatedly=True)
    return database


def _lock(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FailedPrecondition(
            f"The database {path.name} cannot be used: {error.strerror}.", database=path.name
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise FailedPrecondition(
            f"The database {path.name} is open in another process; only one at a time may use it."
        ) from None
    return descriptor


def _require_same_file(path: Path, inode: int) -> None:
    """Refuse a file that was removed or exchanged: what is written to it would be lost."""
    if not path.exists() or path.stat().st_ino != inode:
        raise Unavailable(
            f"The database {path.name} was moved or exchanged while it was open, so nothing is "
            "written. Put the file back, or stop the service and restore a backup."
        )


def _refuse_damaged(name: str, connection: Connection) -> None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
    if found != "ok":
        raise FailedPrecondition(
            f"The database {name} is damaged: {' '.join(found.split())}. {Database.remedy}"
        )


def _configure(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the begin event executes BEGIN
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()


def _begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(options.get("sqlite_begin", "BEGIN DEFERRED"))


def _restore(connection: sqlite3.Connection | None, record: ConnectionPoolEntry) -> None:
    if connection is None:
        return
    if record.info.pop(_OVERWRITING, False):
        connection.execute(_FAST_DELETE).close()
    if record.info.pop(_LIMITED, False):
        watch(connection, None)


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)
