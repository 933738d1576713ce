"""SQLite: one file, opened by one process at a time, which a lock file ensures.

WAL, `synchronous=FULL`, one writer at a time. Python's own transaction handling is switched off, so
that a read is one deferred transaction and a write begins IMMEDIATE.
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

from modelyard_kit.db.base import DAMAGED, Database, HasEnded, usable
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
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # NORMAL can lose acknowledged commits in a power failure
    "PRAGMA foreign_keys=ON",
    _FAST_DELETE,
    "PRAGMA case_sensitive_like=ON",  # LIKE is case-sensitive in the filter grammar
    "PRAGMA busy_timeout=20000",
)
_OVERWRITING = "overwriting"
"""Key of a connection's information: whether its transaction overwrites all that it deletes."""
_LIMITED = "limited"
"""Key of the information of a session and its connection: whether statements may be ended."""
_OPCODES_BETWEEN = 100_000
"""Steps of SQLite's machine between two questions: a few ms. A question waits for Python's lock."""
_EMPTY_LOG = (
    "PRAGMA busy_timeout=1000",  # writers wait meanwhile
    "PRAGMA wal_checkpoint(TRUNCATE)",
    _PRAGMAS[-1],
)
_MIN_FREE_BYTES = 1 << 20
"""With less free space writes may fail, so the service is reported as not ready."""
_CHECKED_BYTES = 32 << 20
"""Files up to this size are checked at each start, which takes a fifth of a second at most."""
_CACHED_STATEMENTS = 48  # of each connection; one that names 1,000 runs takes 150 KB
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
        self._folder = Path(str(engine.url.database)).parent
        self._writer = threading.Lock()

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[None]:
        if not self._writer.acquire(timeout=timeout_s):
            raise Unavailable("The database is busy; nothing was written. Try again.")
        try:
            yield
        finally:
            self._writer.release()

    def limit(self, session: Session, timeout_s: float, has_ended: HasEnded | None) -> None:
        """Have SQLite ask from time to time; `timeout_s` limits the wait for other writers only."""
        if has_ended is None:
            return
        connection = session.connection()
        _driver(connection).set_progress_handler(_once(has_ended), _OPCODES_BETWEEN)
        connection.info[_LIMITED] = session.info[_LIMITED] = True

    def unlimit(self, session: Session) -> None:
        if session.info.pop(_LIMITED, False):
            _driver(session.connection()).set_progress_handler(None, 0)

    def problem(self) -> str:
        problem = super().problem()
        free_bytes = shutil.disk_usage(self._folder).free
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
        connect_args={"timeout": 20, "cached_statements": _CACHED_STATEMENTS},
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
        connection.set_progress_handler(None, 0)


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)


def _once(has_ended: HasEnded) -> HasEnded:
    """Return a function that is true once: the rollback that follows must not be ended too."""
    answered = False

    def ask() -> bool:
        nonlocal answered
        if answered or not has_ended():
            return False
        answered = True
        return True

    return ask
