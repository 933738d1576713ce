"""A service's database and its transactions.

A read is one read-only transaction, which sees a consistent snapshot. A write is one transaction
with one commit. Each has two forms: `read` and `write` open a session of the ORM, `fast_read` and
`fast_write` run statements on the driver's connection, for the calls that users wait for.
`modelyard_kit.db.sqlite` and `modelyard_kit.db.postgres` implement them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, NoReturn, TypeAlias, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from modelyard_kit.auth.scope import EVERYTHING, Scope, like_patterns
from modelyard_kit.db.rows import ROWS, Rows, Work
from modelyard_kit.errors import DataLoss, Error, FailedPrecondition, Unavailable
from modelyard_kit.observability.metrics import db_pool_in_use

DEFAULT_POOL_SIZE = 16
_DEFAULT_TIMEOUT_S = 30.0
DAMAGED = (
    "The database is damaged, and nothing was written; `modelyard doctor` shows where. Restore it "
    "from a backup."
)
"""Message of a call that met damage; the problem of the readiness has the driver's words."""

Lock: TypeAlias = dict[str, Any] | None
"""The row lock of a read: the argument `with_for_update` of `Session.get`, and, unpacked, the
arguments of `Select.with_for_update`.

A write that decides from the contents of a row must lock it, or rely on a constraint. SQLite has
one writer at a time and ignores row locks.
"""
UNLOCKED: Final[Lock] = None
"""No lock: another transaction may change the row at any time."""
SHARED: Final[dict[str, Any]] = {"read": True}
"""FOR SHARE: until this transaction ends, others may hold the same lock but not change the row."""
EXCLUSIVE: Final[dict[str, Any]] = {"key_share": True}
"""FOR NO KEY UPDATE: until this transaction ends, others can neither lock nor change the row.

They may still insert rows whose foreign keys refer to it.
"""

LATER: Final = {"later": True}
"""Execution option of an UPDATE or DELETE whose row count is not used.

On PostgreSQL it is deferred, as is every INSERT without RETURNING: it is sent together with the
next statement or the commit, which saves a round trip (`modelyard_kit.db.pipeline`).
"""


HasEnded: TypeAlias = Callable[[], bool]
"""Returns whether a result is no longer awaited. Called often, on the thread of the transaction."""


Result = TypeVar("Result")


class Conflict(Exception):
    """Two transactions conflicted and this one was rolled back; it may be run again."""


class OutcomeUnknown(Exception):
    """The connection was lost during the commit, which may have taken effect or not."""


class Database(ABC):
    """Transactions over one engine.

    Args:
        engine: Engine of the database with the service's tables.
        reading: Execution options of a read transaction.
        writing: Execution options of a write transaction.
    """

    remedy = "Check its location, disk and permissions, or restore it from a backup."
    """Advice to the operator for a database that cannot be used."""

    def __init__(self, engine: Engine, reading: dict[str, Any], writing: dict[str, Any]) -> None:
        self.engine = engine
        self._reading = sessionmaker(engine.execution_options(**reading), expire_on_commit=False)
        self._writing = sessionmaker(engine.execution_options(**writing), expire_on_commit=False)
        self._on_begin: list[Callable[[Session], None]] = []
        self._on_commit: list[Callable[[], None]] = []
        self._required: tuple[Callable[[], None], ...] = ()
        self._repeated: tuple[Callable[[], None], ...] = ()
        self._damage = ""
        self.scope_patterns: Callable[[Scope], Sequence[str]] = _no_patterns
        """Returns the patterns of a scope that concern this database."""
        _open.add(self)

    @contextmanager
    def read(
        self, timeout_s: float = _DEFAULT_TIMEOUT_S, has_ended: HasEnded | None = None
    ) -> Iterator[Session]:
        """Open a read transaction; all of its statements see the same snapshot.

        Args:
            timeout_s: Time limit of each statement in seconds.
            has_ended: Whether the result is no longer awaited; SQLite then ends the statement that
                is running.

        Raises:
            Unavailable: The database cannot be reached or cannot be used.
            DeadlineExceeded: A statement was ended by one of the limits.
        """
        self.check()
        with self._explained(), self._reading() as session:
            self._begin(session, timeout_s, has_ended)
            yield session

    @contextmanager
    def write(
        self, timeout_s: float = _DEFAULT_TIMEOUT_S, has_ended: HasEnded | None = None
    ) -> Iterator[Session]:
        """Open a write transaction, committed at the end and rolled back on any exception.

        Args:
            timeout_s: Time limit in seconds of the wait for other writers, and of each statement.
            has_ended: As in `read`; the commit is never ended.

        Raises:
            DeadlineExceeded: A statement was ended by one of the limits; nothing was written.
            Unavailable: The database cannot be reached, cannot be used or is busy; nothing was
                written.
            ResourceExhausted: The disk is full; nothing was written.
            Conflict: A concurrent transaction changed the same rows; nothing was written.
            OutcomeUnknown: The connection was lost during the commit.
        """
        self.check()
        with self.turn(timeout_s):
            committing = False
            try:
                with self._writing.begin() as session:
                    self._begin(session, timeout_s, has_ended)
                    yield session
                    session.flush()
                    self.unlimit(session)
                    committing = True
            except DBAPIError as error:
                if committing and error.connection_invalidated:
                    raise OutcomeUnknown from error
                self._raise(error)
        self.committed()

    def fast_read(
        self,
        work: Work[Result],
        timeout_s: float = _DEFAULT_TIMEOUT_S,
        has_ended: HasEnded | None = None,
        scope: Scope = EVERYTHING,
    ) -> Result:
        """Run statements in a read transaction on the driver's connection.

        Args:
            work: Runs the statements and returns the result.
            timeout_s: As in `read`, as are `has_ended` and the errors.
            has_ended: As in `read`.
            scope: Scope of the caller.
        """
        self.check()
        try:
            return self._read_rows(work, timeout_s, has_ended, scope)
        except self.failures as failure:
            with self._explained():
                raise self._wrapped(failure) from failure

    def fast_write(
        self,
        work: Work[Result],
        timeout_s: float = _DEFAULT_TIMEOUT_S,
        has_ended: HasEnded | None = None,
        scope: Scope = EVERYTHING,
    ) -> Result:
        """Run statements in a write transaction on the driver's connection.

        It is committed when this returns, and rolled back if it raises.

        Args:
            work: Runs the statements and returns the result. It may be run again, after the effects
                of the first time were undone, and on another thread, with the context variables of
                this one.
            timeout_s: As in `write`, as are `has_ended` and the errors.
            has_ended: As in `write`.
            scope: Scope of the caller.
        """
        self.check()
        try:
            return self._write_rows(work, timeout_s, has_ended, scope)
        except self.failures as failure:
            self._raise(self._wrapped(failure))

    def committed(self) -> None:
        """Call what waits for commits."""
        for callback in self._on_commit:
            callback()

    def on_begin(self, callback: Callable[[Session], None]) -> None:
        """Call `callback` with the session of each transaction before its first statement."""
        self._on_begin.append(callback)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` after each committed write."""
        self._on_commit.append(callback)

    def require(self, check: Callable[[], None], *, repeatedly: bool = False) -> None:
        """Refuse transactions until `check` has passed; it raises `Unavailable` otherwise.

        Args:
            check: The check, which may open no transaction of this database.
            repeatedly: Whether the check is run again at each look at the readiness. While it
                fails, transactions are refused.
        """
        self._required += (check,)
        if repeatedly:
            self._repeated += (check,)

    def check(self) -> None:
        """Raise `Unavailable` if a required check does not pass; checks that passed are skipped."""
        if self._required:
            with self._explained():
                self._pass_checks()

    def problem(self) -> str:
        """Return the reason why no transaction can run now, or why none should; else empty.

        A database that was found damaged stays so until the process is started again.
        """
        if self._damage:
            return self._damage
        try:
            self._pass_checks()
            self._repeat_checks()
            with self.engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        except Error as error:
            return error.message
        except DBAPIError as error:
            return f"The database cannot be used: {summary(error)}. {self.remedy}"
        except SQLAlchemyError:
            return "The database cannot be used: all connections to it are busy."
        return ""

    def overwrite(self, session: Session) -> None:  # noqa: B027 - SQLite alone has to
        """Overwrite in the database's file what this transaction deletes."""

    def empty_log(self) -> None:  # noqa: B027 - as above
        """Remove deleted values from the database's log."""

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _begin(self, session: Session, timeout_s: float, has_ended: HasEnded | None) -> None:
        session.info[ROWS] = self.rows_on
        self.limit(session, timeout_s, has_ended)
        for callback in self._on_begin:
            callback(session)

    def _pass_checks(self) -> None:
        required = self._required
        for check in required:
            check()
        if self._required is required:
            self._required = ()

    def _repeat_checks(self) -> None:
        try:
            for check in self._repeated:
                check()
        except Error:
            self._required = self._repeated
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if isinstance(self.explain(error), Conflict):
                raise Unavailable("The tables are being changed. Try again.") from error
            self._raise(error)

    def _wrapped(self, failure: Exception) -> DBAPIError:
        """Return an error of the driver as SQLAlchemy's, which says of which kind it is."""
        wrapped = DBAPIError.instance(
            None, None, failure, self.failures, hide_parameters=True, dialect=self.engine.dialect
        )
        if not isinstance(wrapped, DBAPIError):
            raise wrapped
        return wrapped

    def _patterns(self, scope: Scope) -> list[str]:
        return like_patterns(self.scope_patterns(scope)) if scope else []

    def _raise(self, error: DBAPIError) -> NoReturn:
        explained = self.explain(error)
        if explained is None:
            raise error
        if isinstance(explained, DataLoss):
            self._damage = f"The database is damaged: {summary(error)}. {self.remedy}"
        raise explained from error

    failures: type[Exception]
    """The driver's own errors."""
    rows_on: Callable[..., Rows]
    """Makes the rows on a connection of the driver, for a scope and its patterns."""

    @abstractmethod
    def _read_rows(
        self, work: Work[Result], timeout_s: float, has_ended: HasEnded | None, scope: Scope
    ) -> Result:
        """Run `fast_read`, with the driver's own errors."""

    @abstractmethod
    def _write_rows(
        self, work: Work[Result], timeout_s: float, has_ended: HasEnded | None, scope: Scope
    ) -> Result:
        """Run `fast_write`, with the driver's own errors."""

    @abstractmethod
    def in_use(self) -> int:
        """Return the number of connections that transactions on the driver use."""

    @abstractmethod
    def turn(self, timeout_s: float) -> AbstractContextManager[None]:
        """Wait until a write may begin; raises `Unavailable` after the time limit."""

    @abstractmethod
    def limit(self, session: Session, timeout_s: float, has_ended: HasEnded | None) -> None:
        """Set the limits of the statements of a transaction, which `read` describes."""

    def unlimit(self, session: Session) -> None:  # noqa: B027 - PostgreSQL ends no commit
        """Remove the limits before the commit, which would otherwise have an unknown outcome."""

    @abstractmethod
    def explain(self, error: DBAPIError) -> Error | Conflict | None:
        """Return the error that a failure of the driver stands for; None for a bug."""

    def risk(self, connection: Connection) -> str:
        """Return the setting by which the server could lose acknowledged commits; empty if none."""
        return ""

    @abstractmethod
    def migrating(self) -> AbstractContextManager[Connection]:
        """Open the transaction of a migration; only one process at a time holds it."""


_open: WeakSet[Database] = WeakSet()


def _connections_in_use() -> int:
    databases = tuple(_open)
    pools = [database.engine.pool for database in databases]
    lent = sum(pool.checkedout() for pool in pools if isinstance(pool, QueuePool))
    return lent + sum(database.in_use() for database in databases)


db_pool_in_use.set_function(_connections_in_use)


def _no_patterns(_scope: Scope) -> Sequence[str]:
    return ()


@contextmanager
def usable(name: str, remedy: str = Database.remedy) -> Iterator[None]:
    """Translate failures of a database inside the block into one line for an operator.

    Args:
        name: Name of the database, for the message.
        remedy: Advice to the operator.

    Raises:
        FailedPrecondition: The database is damaged, read-only, on a full disk or cannot be reached;
            the message quotes the driver.
    """
    try:
        yield
    except DBAPIError as error:
        raise FailedPrecondition(
            f"The database {name} cannot be used: {summary(error)}. {remedy}", database=name
        ) from error
    except (Unavailable, DataLoss) as error:
        cause = error.__cause__
        reason = f"{summary(cause)}. {remedy}" if isinstance(cause, DBAPIError) else error.message
        raise FailedPrecondition(f"The database {name} cannot be used: {reason}") from error


def summary(error: DBAPIError) -> str:
    """Return the driver's message in one line without a final period; for operators only."""
    return " ".join(str(error.orig).split()).rstrip(".?")
