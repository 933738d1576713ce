"""Page tokens of one key."""

from __future__ import annotations

from typing import TypeVar

from modelyard_kit import paging
from modelyard_kit.errors import InvalidArgument

Key = TypeVar("Key", int, str)


def page_start(token: str, query: str, first: Key) -> Key:
    """Return the key a page comes after.

    Args:
        token: What the page before ended with; empty for the first page.
        query: The fingerprint of the query.
        first: The key the first page comes after.

    Raises:
        InvalidArgument: The token was not made here, or for another query.
    """
    cursor = paging.decode(token, query)
    if cursor is None:
        return first
    match cursor:
        case (key,) if isinstance(key, type(first)):
            return key
    raise InvalidArgument("Invalid page_token: expected the next_page_token of an earlier answer.")
