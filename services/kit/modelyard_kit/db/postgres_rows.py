"""Rows on a connection of psycopg, whose statements are prepared once and pipelined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from modelyard_kit.auth.scope import EVERYTHING, Scope
from modelyard_kit.db.pipeline import MAX_DEFERRED, Deferred, PipelinedConnection
from modelyard_kit.db.rows import NO_VALUES, Rows
from modelyard_kit.db.statements import Form, Row, Statement, Values


class PostgresRows(Rows):
    """Rows on a connection of psycopg, which has begun a transaction."""

    dialect = "postgresql"

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        scope: Scope = EVERYTHING,
        patterns: Iterable[str] = (),
    ) -> None:
        super().__init__(scope, patterns)
        self._connection = connection
        self._is_over = False

    def only(self, statement: Statement[Row], values: Values = NO_VALUES) -> list[Row]:
        connection = self._connection
        if isinstance(connection, PipelinedConnection) and len(connection.deferred) == 1:
            connection.deferred = ()  # the BEGIN
            found = self.execute(statement, values)
            self._is_over = True
            return found
        return self.execute(statement, values)

    def execute_all(self, statements: Sequence[tuple[Statement[Any], Values]]) -> list[list[Any]]:
        connection = self._connection
        if not isinstance(connection, PipelinedConnection):
            return super().execute_all(statements)
        sent: list[tuple[Form, psycopg.Cursor[Any]]] = []
        with connection.sending(always=True):
            for statement, values in statements:
                form, bound = self._bound(statement, values)
                cursor = psycopg.Cursor(connection)
                sent.append((form, cursor.execute(form.text, bound, prepare=True)))
        return [
            cursor.fetchall() if form.make is None else list(map(form.make, cursor))
            for form, cursor in sent
        ]

    def _run(self, text: str, bound: tuple[Any, ...], *, later: bool) -> list[Any]:
        if self._is_over:
            raise AssertionError("a statement after the only one")
        if later and self._defer(Deferred(text, bound, prepare=True), 1):
            return []
        cursor = self._connection.cursor()
        cursor.execute(text, bound, prepare=True)
        return cursor.fetchall() if cursor.description else []

    def _run_many(self, text: str, bound: list[tuple[Any, ...]], *, later: bool) -> None:
        if len(bound) == 1:  # psycopg takes longer for a list of one
            self._run(text, bound[0], later=later)
        elif not (later and self._defer(Deferred(text, bound, is_many=True), len(bound))):
            self._connection.cursor().executemany(text, bound)

    def _defer(self, statement: Deferred, count: int) -> bool:
        connection = self._connection
        if not isinstance(connection, PipelinedConnection):
            return False
        if len(connection.deferred) + count > MAX_DEFERRED:
            return False
        connection.deferred += (statement,)
        return True
