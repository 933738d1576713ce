"""A service's database and its two kinds of transaction.

A read is one read-only transaction: all it sees is of one instant. A write is one transaction with
one commit. `modelyard_kit.db.sqlite` and `modelyard_kit.db.postgres` implement them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeAlias
from weakref import WeakSet

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from modelyard_kit.errors import Error, FailedPrecondition, Unavailable
from modelyard_kit.observability.metrics import db_pool_in_use

DEFAULT_POOL_SIZE = 16
_DEFAULT_TIMEOUT_S = 30.0

Lock: TypeAlias = dict[str, Any] | None
"""How a row is read: as `with_for_update` of `Session.get` and, unpacked, of `select`.

A write that decides from a row must lock it, or rely on a constraint. SQLite has one writer at a
time and ignores this.
"""
UNLOCKED: Final[Lock] = None
SHARED: Final[dict[str, Any]] = {"read": True}
"""Nobody changes the row before this transaction ends; several may hold it so."""
EXCLUSIVE: Final[dict[str, Any]] = {"key_share": True}
"""Nobody else locks or changes the row before this transaction ends; others may refer to it."""

LATER: Final = {"later": True}
"""Execution option of an UPDATE or DELETE of which nobody asks how many rows it found.

PostgreSQL is sent it, and every INSERT that returns nothing, with the next statement or the commit,
so that nobody waits for it alone.
"""


class Conflict(Exception):
    """Two transactions collided and this one was undone; it may be run again."""


class OutcomeUnknown(Exception):
    """The connection was lost at the commit, which may have happened or not."""


class Database(ABC):
    """Transactions over one engine.

    Args:
        engine: Where the service's tables are.
        reading: Execution options of a read transaction.
        writing: Execution options of a write transaction.
    """

    remedy = "Check where it is, its disk and permissions, or restore it from a backup."
    """What to do when it cannot be used, for whoever runs the service."""

    def __init__(self, engine: Engine, reading: dict[str, Any], writing: dict[str, Any]) -> None:
        self.engine = engine
        self._reading = sessionmaker(engine.execution_options(**reading), expire_on_commit=False)
        self._writing = sessionmaker(engine.execution_options(**writing), expire_on_commit=False)
        self._on_begin: list[Callable[[Session], None]] = []
        self._on_commit: list[Callable[[], None]] = []
        self._require: Callable[[], None] | None = None
        _open.add(self)

    @contextmanager
    def read(self, timeout_s: float = _DEFAULT_TIMEOUT_S) -> Iterator[Session]:
        """Open one read transaction; everything read in it is of one instant.

        Args:
            timeout_s: How long the caller waits, seconds.

        Raises:
            Unavailable: The database cannot be reached or cannot be used.
        """
        self._check()
        with self._explained(), self._reading() as session:
            self._begin(session, timeout_s)
            yield session

    @contextmanager
    def write(self, timeout_s: float = _DEFAULT_TIMEOUT_S) -> Iterator[Session]:
        """Open one write transaction, committed at the end and rolled back on any exception.

        Args:
            timeout_s: How long the caller waits, seconds.

        Raises:
            Unavailable: The database cannot be reached, cannot be used or is busy; nothing was
                written.
            ResourceExhausted: The disk is full; nothing was written.
            Conflict: Somebody else wrote the same at the same time; nothing was written.
            OutcomeUnknown: The connection was lost at the commit.
        """
        self._check()
        with self.turn(timeout_s):
            committing = False
            try:
                with self._writing.begin() as session:
                    self._begin(session, timeout_s)
                    yield session
                    session.flush()
                    committing = True
            except DBAPIError as error:
                if committing and error.connection_invalidated:
                    raise OutcomeUnknown from error
                self._raise(error)
        for callback in self._on_commit:
            callback()

    def on_begin(self, callback: Callable[[Session], None]) -> None:
        """Call `callback` with each transaction before anything is done in it."""
        self._on_begin.append(callback)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each committed write."""
        self._on_commit.append(callback)

    def require(self, check: Callable[[], None]) -> None:
        """Refuse transactions until `check` has passed once; it raises `Unavailable` if not."""
        self._require = check

    def problem(self) -> str:
        """Return why no transaction can be run now, or nothing if one can."""
        try:
            self._pass_check()
            with self.engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        except Error as error:
            return error.message
        except DBAPIError as error:
            return f"The database cannot be used: {said(error)}. {self.remedy}"
        except SQLAlchemyError:
            return "The database cannot be used: all connections to it are busy."
        return ""

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _begin(self, session: Session, timeout_s: float) -> None:
        self.limit(session, timeout_s)
        for callback in self._on_begin:
            callback(session)

    def _check(self) -> None:
        with self._explained():
            self._pass_check()

    def _pass_check(self) -> None:
        if self._require is not None:
            self._require()
            self._require = None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if isinstance(self.explain(error), Conflict):
                raise Unavailable("The tables are being changed. Try again.") from error
            self._raise(error)

    def _raise(self, error: DBAPIError) -> None:
        explained = self.explain(error)
        if explained is None:
            raise error
        raise explained from error

    @abstractmethod
    def turn(self, timeout_s: float) -> AbstractContextManager[None]:
        """Wait until a write may begin; raises `Unavailable` when that takes too long."""

    @abstractmethod
    def limit(self, session: Session, timeout_s: float) -> None:
        """Have the statements of a transaction end when nobody waits for them any more."""

    @abstractmethod
    def explain(self, error: DBAPIError) -> Error | Conflict | None:
        """Return what a failure means to a caller; None for a bug."""

    def risk(self, connection: Connection) -> str:
        """Return how the server could lose an acknowledged commit, or nothing."""
        return ""

    @abstractmethod
    def migrating(self) -> AbstractContextManager[Connection]:
        """Open the transaction of a migration, one at a time over all processes."""


_open: WeakSet[Database] = WeakSet()


def _connections_in_use() -> int:
    pools = [database.engine.pool for database in tuple(_open)]
    return sum(pool.checkedout() for pool in pools if isinstance(pool, QueuePool))


db_pool_in_use.set_function(_connections_in_use)


@contextmanager
def usable(name: str, remedy: str = Database.remedy) -> Iterator[None]:
    """Say in one line why a database cannot be used, while a command runs.

    Args:
        name: Of the database, for the message.
        remedy: What to do about it.

    Raises:
        FailedPrecondition: It is damaged, read-only, on a full disk or cannot be reached, whatever
            it says itself.
    """
    try:
        yield
    except DBAPIError as error:
        raise FailedPrecondition(
            f"The database {name} cannot be used: {said(error)}. {remedy}", database=name
        ) from error
    except Unavailable as error:
        raise FailedPrecondition(f"The database {name} cannot be used: {error.message}") from error


def said(error: DBAPIError) -> str:
    """Return what a database says of a failure, in one line; for whoever runs the service."""
    return " ".join(str(error.orig).split()).rstrip(".?")
