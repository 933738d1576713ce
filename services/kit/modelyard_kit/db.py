"""A service's database: the engine chosen by URL, and its two kinds of transaction.

SQLite: one file opened by one process (a lock file sees to it), WAL, `synchronous=FULL`, one
writer at a time, one commit per call. Python's own transaction handling is switched off, so that
a read is one deferred transaction and a write begins IMMEDIATE.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from modelyard_kit.errors import (
    Error,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # NORMAL would lose acknowledged commits with the power
    "PRAGMA foreign_keys=ON",
    "PRAGMA case_sensitive_like=ON",  # LIKE is case-sensitive in the filter grammar
    "PRAGMA busy_timeout=20000",
)
_DEFAULT_POOL_SIZE = 16


class Database:
    """Transactions over one engine.

    Args:
        engine: Where the service's tables are.
        lock_file: Held open for as long as this process owns the database.
    """

    def __init__(self, engine: Engine, lock_file: int | None = None) -> None:
        self.engine = engine
        self._lock_file = lock_file
        self._writer = threading.Lock()
        self._reading = sessionmaker(engine, expire_on_commit=False)
        self._writing = sessionmaker(
            engine.execution_options(sqlite_begin="BEGIN IMMEDIATE"), expire_on_commit=False
        )
        self._on_commit: list[Callable[[], None]] = []

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open one read transaction; everything read in it is of one instant."""
        with self._reading() as session:
            yield session

    @contextmanager
    def write(self, timeout_s: float = 30.0) -> Iterator[Session]:
        """Open one write transaction, committed at the end and rolled back on any exception.

        Args:
            timeout_s: How long to wait for the writer before this one, seconds.

        Raises:
            Unavailable: The writer before this one took longer; nothing was started.
            ResourceExhausted: The disk is full; nothing was written.
        """
        if not self._writer.acquire(timeout=timeout_s):
            raise Unavailable("The database is busy; nothing was written. Try again.")
        try:
            with self._writing.begin() as session:
                yield session
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
                raise
            raise ResourceExhausted(
                "The disk of the database is full; nothing was written. Free some space, then "
                "try again."
            ) from error
        finally:
            self._writer.release()
        for callback in self._on_commit:
            callback()

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each committed write."""
        self._on_commit.append(callback)

    def close(self) -> None:
        """Close every connection and let another process open the database."""
        self.engine.dispose()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


def open_database(url: str | URL, pool_size: int = _DEFAULT_POOL_SIZE) -> Database:
    """Open the database behind `url`, e.g. `sqlite:////var/lib/modelyard/registry.db`.

    Args:
        url: An SQLAlchemy URL; as text it cannot name a file with a `?` in its path.
        pool_size: How many connections to keep; at least the threads that use it.

    Raises:
        InvalidArgument: The URL is malformed or of a database that is not supported.
        FailedPrecondition: Another process has the database open, or it is not a database that
            can be read and written.
    """
    parsed = _sqlite_url(url)
    path = Path(str(parsed.database))
    lock_file = _lock(path)
    engine = create_engine(
        parsed, pool_size=pool_size, max_overflow=0, pool_timeout=10, connect_args={"timeout": 20}
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    database = Database(engine, lock_file)
    try:
        with usable(path.name), database.write() as session:
            session.connection()  # a file that cannot be written fails to begin
    except Error:
        database.close()
        raise
    return database


@contextmanager
def usable(name: str) -> Iterator[None]:
    """Say in one line why a database cannot be used, while a service starts.

    Args:
        name: Of the database, for the message.

    Raises:
        FailedPrecondition: It is damaged, read-only or on a full disk, whatever it says itself.
    """
    try:
        yield
    except DBAPIError as error:
        raise FailedPrecondition(
            f"The database {name} cannot be used: {error.orig}. Check its disk and permissions, "
            "or restore it from a backup.",
            database=name,
        ) from error


def _sqlite_url(url: str | URL) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidArgument(
            "The database URL cannot be read; it should look like sqlite:////folder/file.db."
        ) from None
    backend = parsed.get_backend_name()
    if backend != "sqlite":
        raise InvalidArgument(
            f"Databases of kind '{backend}' are not supported; use sqlite:////folder/file.db.",
            backend=backend,
        )
    if not parsed.database or parsed.database == ":memory:":
        raise InvalidArgument("A SQLite database needs a file: sqlite:////folder/file.db.")
    return parsed


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
            f"The database {path.name} is open in another process; one at a time may use it."
        ) from None
    return descriptor


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event says BEGIN
    for pragma in _PRAGMAS:
        connection.execute(pragma).close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(options.get("sqlite_begin", "BEGIN DEFERRED"))
