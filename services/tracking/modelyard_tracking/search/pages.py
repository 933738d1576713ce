"""Pages of a search; a reply may contain only the beginning of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Row, Select
from sqlalchemy.orm import Session

from modelyard_kit.db import paging
from modelyard_kit.db.paging import SortKey

Entity = TypeVar("Entity")


@dataclass(frozen=True, slots=True)
class Page(Generic[Entity]):
    """The entities of a page in order, with the page tokens to continue after them."""

    found: list[Entity]
    rows: Sequence[Row[Any]]
    """Rows of the entities, and one more if there is a next page."""
    keys: Sequence[SortKey]
    query: str

    def token_after(self, count: int) -> str:
        """Return the token of the page that starts after the first `count` entities.

        It is empty if there are no more entities.
        """
        return paging.cut(self.rows, count, self.keys, self.query)[1]

    @property
    def next_page_token(self) -> str:
        return self.token_after(len(self.found))


def read_page(
    session: Session,
    statement: Select[Any],
    keys: Sequence[SortKey],
    query: str,
    page_size: int,
    page_token: str,
) -> Page[Any]:
    """Run a search.

    Args:
        session: Session of the transaction.
        statement: Statement that selects one entity.
        keys: Sort keys, the last of them unique.
        query: Fingerprint of the search.
        page_size: Maximum number of entities.
        page_token: Page token from the previous page; empty for the first page.

    Raises:
        InvalidArgument: The token is malformed or belongs to another search.
    """
    cursor = paging.decode(page_token, query)
    if cursor is not None:
        statement = statement.where(paging.after(keys, cursor))
    statement = statement.add_columns(*paging.key_columns(keys))
    rows = session.execute(
        statement.order_by(*paging.order_clauses(keys)).limit(page_size + 1)
    ).all()
    return Page([row[0] for row in rows[:page_size]], rows, keys, query)
