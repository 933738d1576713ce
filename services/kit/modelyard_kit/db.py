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
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, sessionmaker

from modelyard_kit.errors import FailedPrecondition, InvalidArgument, Unavailable

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
        """
        if not self._writer.acquire(timeout=timeout_s):
            raise Unavailable("The database is busy; nothing was written. Try again.")
        try:
            with self._writing.begin() as session:
                yield session
        finally:
            self._writer.release()
        for callback in self._on_commit:
            callback()

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each committed write."""
        self._on_commit.append(callback)

    def close(self) -> None:
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
        FailedPrecondition: Another process has the database open.
    """
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
    path = Path(parsed.database)
    lock_file = _lock(path)
    engine = create_engine(
        parsed, pool_size=pool_size, max_overflow=0, pool_timeout=10, connect_args={"timeout": 20}
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine, lock_file)


def _lock(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
