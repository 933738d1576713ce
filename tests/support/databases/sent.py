"""The statements that a database is sent, by the ORM and on the driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from modelyard_kit.db.base import Database
from modelyard_kit.db.rows import NO_VALUES, Rows
from modelyard_kit.db.statements import Statement, Values


@contextmanager
def statements_sent(database: Database) -> Iterator[list[str]]:
    """Record the texts of the statements that are sent inside the block."""
    sent: list[str] = []

    def by_the_orm(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        sent.append(text)

    execute = Rows.execute

    def on_the_driver(self: Rows, statement: Statement[Any], values: Values = NO_VALUES) -> Any:
        sent.append(statement.form(self.dialect, restricted=False).text)
        return execute(self, statement, values)

    event.listen(database.engine, "before_cursor_execute", by_the_orm)
    with pytest.MonkeyPatch.context() as patching:
        patching.setattr(Rows, "execute", on_the_driver)
        yield sent
    event.remove(database.engine, "before_cursor_execute", by_the_orm)
