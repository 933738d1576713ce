"""One page of a search."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


class PagedList(list[T]):
    """A list with the token of the next page.

    Args:
        items: Items of this page.
        token: `page_token` of the next page; None on the last page.
    """

    def __init__(self, items: Iterable[T], token: str | None) -> None:
        super().__init__(items)
        self.token = token

    def to_list(self) -> list[T]:
        """Return the items without the token."""
        return list(self)
