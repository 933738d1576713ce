"""The rows of one transaction, read and written on the driver's connection.

A thin alternative to the ORM's session for calls that users wait for. It runs the same statements
in a transaction of its own (`Database.fast_read`, `Database.fast_write`) and, through `rows_of`, in
one that a session has begun.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeVar

from sqlalchemy import event
from sqlalchemy.orm import Session

from modelyard_kit.auth.scope import EVERYTHING, Scope, scope_of
from modelyard_kit.db.statements import PATTERNS, Form, Row, Statement, Values

ROWS: Final = "rows"
"""Key of a session's information: makes the rows on a connection of its driver."""
_OPENED: Final = "opened rows"
NO_VALUES: Final[Values] = MappingProxyType({})

Result = TypeVar("Result")
Work = Callable[["Rows"], Result]
"""The statements of a transaction. It may be run again, or on another thread."""
Ending = Callable[[bool], None]
"""Called when a transaction has ended, with whether it was committed."""


class Rows(ABC):
    """The rows that a transaction sees.

    Args:
        scope: Scope of the caller, to which statements with restrictions are restricted.
        patterns: The LIKE patterns of the scope that concern this database; none for no
            restriction.
    """

    dialect: str

    def __init__(self, scope: Scope = EVERYTHING, patterns: Iterable[str] = ()) -> None:
        self.scope = scope
        self.endings: list[Ending] = []
        self._patterns = list(patterns)

    def execute(self, statement: Statement[Row], values: Values = NO_VALUES) -> list[Row]:
        """Run a statement and return its rows; none for a write without RETURNING."""
        form, bound = self._bound(statement, values)
        found = self._run(form.text, bound, later=form.later)
        return found if form.make is None else list(map(form.make, found))

    def first(self, statement: Statement[Row], values: Values = NO_VALUES) -> Row | None:
        """Run a statement and return its first row; None if it has none."""
        found = self.execute(statement, values)
        return found[0] if found else None

    def ahead(self, statement: Statement[Row], values: Values = NO_VALUES) -> Row | None:
        """Run the first statement of a read and return its first row; None if it has none.

        The transaction begins after it, if another statement follows. What that one finds may be
        newer. It saves PostgreSQL a round trip, and SQLite two steps, each of which gives up
        Python's lock.
        """
        return self.first(statement, values)

    def execute_all(
        self,
        statements: Sequence[tuple[Statement[Any], Values]],
        *,
        last: bool = False,
    ) -> list[list[Any]]:
        """Run statements that do not depend on each other's rows, and return the rows of each.

        PostgreSQL gets them in one round trip.

        Args:
            statements: The statements with their values.
            last: Whether no statement follows, in a read; it then ends in the same round trip.
        """
        return [self.execute(statement, values) for statement, values in statements]

    def execute_many(self, statement: Statement[Any], values: Sequence[Mapping[str, Any]]) -> None:
        """Run a write without RETURNING once for each set of values."""
        if not values:
            return
        forms, bound = zip(*(self._bound(statement, one) for one in values), strict=True)
        self._run_many(forms[0].text, list(bound), later=forms[0].later)

    def on_end(self, ending: Ending) -> None:
        """Call `ending` when the transaction has been committed or rolled back."""
        self.endings.append(ending)

    def _bound(self, statement: Statement[Any], values: Values) -> tuple[Form, tuple[Any, ...]]:
        patterns = self._patterns
        form = statement.form(self.dialect, restricted=bool(patterns))
        return form, form.bound({**values, PATTERNS: patterns} if patterns else values)

    @abstractmethod
    def _run(self, text: str, bound: tuple[Any, ...], *, later: bool) -> list[Any]: ...

    @abstractmethod
    def _run_many(self, text: str, bound: list[tuple[Any, ...]], *, later: bool) -> None: ...


class SqliteRows(Rows):
    """Rows on a connection of SQLite.

    Args:
        connection: The connection.
        scope: Scope of the caller.
        patterns: As in `Rows`.
        begin: The statement that begins the transaction, before the first one that is not ahead of
            it; empty if the transaction has begun.
    """

    dialect = "sqlite"

    def __init__(
        self,
        connection: sqlite3.Connection,
        scope: Scope = EVERYTHING,
        patterns: Iterable[str] = (),
        begin: str = "",
    ) -> None:
        super().__init__(scope, patterns)
        self._connection = connection
        self._begin = begin

    def ahead(self, statement: Statement[Row], values: Values = NO_VALUES) -> Row | None:
        begin, self._begin = self._begin, ""
        found = self.first(statement, values)
        self._begin = begin
        return found

    def _run(self, text: str, bound: tuple[Any, ...], *, later: bool) -> list[Any]:
        if self._begin:
            self._connection.execute(self._begin)
            self._begin = ""
        return self._connection.execute(text, bound).fetchall()

    def _run_many(self, text: str, bound: list[tuple[Any, ...]], *, later: bool) -> None:
        self._connection.executemany(text, bound)


def rows_of(session: Session) -> Rows:
    """Return the rows of a session's transaction, with what the session has changed so far.

    Objects that the session has loaded do not follow what is written through the rows.
    """
    session.flush()
    rows: Rows | None = session.info.get(_OPENED)
    if rows is None:
        on_driver: Callable[..., Rows] = session.info[ROWS]
        driver = session.connection().connection.dbapi_connection
        rows = on_driver(driver, scope_of(session), session.info.get(PATTERNS, ()))
        session.info[_OPENED] = rows
        for name, is_committed in (("after_commit", True), ("after_rollback", False)):
            event.listen(session, name, partial(_end, rows, is_committed), once=True)
    return rows


def _end(rows: Rows, is_committed: bool, _session: Session) -> None:  # noqa: FBT001 - as endings
    for ending in rows.endings:
        ending(is_committed)
