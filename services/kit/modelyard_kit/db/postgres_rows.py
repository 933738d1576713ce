"""Rows on a connection to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg

from modelyard_kit.auth.scope import EVERYTHING, Scope
from modelyard_kit.db.libpq import Sent, exchange
from modelyard_kit.db.pipeline import MAX_DEFERRED, PipelinedConnection
from modelyard_kit.db.rows import NO_VALUES, Rows
from modelyard_kit.db.statements import Row, Statement, Values

_COMMIT: Final[Sent] = ("COMMIT", ())


class PostgresRows(Rows):
    """Rows of a transaction on a connection of psycopg.

    A write that returns nothing waits, as far as it may, for the statement after it or the commit.

    Args:
        connection: The connection.
        scope: Scope of the caller.
        patterns: As in `Rows`.
        begin: The statements that begin the transaction; none if a session has begun it, and
            commits it.
        defers: Whether statements may wait.
    """

    dialect = "postgresql"

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        scope: Scope = EVERYTHING,
        patterns: Iterable[str] = (),
        begin: Sequence[str] = (),
        *,
        defers: bool = False,
    ) -> None:
        super().__init__(scope, patterns)
        self._connection = connection
        self._begin: list[Sent] = [(text, ()) for text in begin]
        self._waiting = self._begin.copy()
        self._is_over = False
        self._defers = defers
        if not defers:
            self._send()

    def commit(self) -> None:
        """Send what waits, and commit."""
        if not self._is_over and self._waiting != self._begin:
            self._waiting.append(_COMMIT)
            self._send()

    def ahead(self, statement: Statement[Row], values: Values = NO_VALUES) -> Row | None:
        if len(self._waiting) != len(self._begin) or len(self._begin) > 1:
            return self.first(statement, values)  # it has begun, or has a limit of its own
        begin, self._waiting = self._waiting, []
        found = self.first(statement, values)
        self._waiting = begin
        return found

    def execute_all(
        self, statements: Sequence[tuple[Statement[Any], Values]], *, last: bool = False
    ) -> list[list[Any]]:
        forms = []
        for statement, values in statements:
            form, bound = self._bound(statement, values)
            forms.append(form)
            self._waiting.append((form.text, bound))
        if last and self._begin:
            self._waiting.append(_COMMIT)
            found = self._send()[-len(forms) - 1 : -1]
            self._is_over = True
        else:
            found = self._send()[-len(forms) :]
        return [
            rows if form.make is None else list(map(form.make, rows))
            for form, rows in zip(forms, found, strict=True)
        ]

    def _run(self, text: str, bound: tuple[Any, ...], *, later: bool) -> list[Any]:
        self._waiting.append((text, bound))
        if later and self._defers and len(self._waiting) < MAX_DEFERRED:
            return []
        return self._send()[-1]

    def _run_many(self, text: str, bound: list[tuple[Any, ...]], *, later: bool) -> None:
        for one in bound:
            self._waiting.append((text, one))
        if not (later and self._defers and len(self._waiting) < MAX_DEFERRED):
            self._send()

    def _send(self) -> list[list[Any]]:
        if self._is_over:
            raise AssertionError("a statement after the last one of a read")
        if isinstance(self._connection, PipelinedConnection):
            self._connection.send()  # what a session has deferred
        sent, self._waiting = self._waiting, []
        return exchange(self._connection, sent) if sent else []
