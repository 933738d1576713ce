"""Reading of page tokens with one key, and of times."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from modelyard_kit.db import paging
from modelyard_kit.errors import InvalidArgument

_MAX_TIMESTAMP_S = 253_402_300_799  # the end of the year 9999, as the well-known type has it

Key = TypeVar("Key", int, str)


def page_start(token: str, query: str, first: Key) -> Key:
    """Return the key that a page starts after.

    Args:
        token: Page token from the previous page; empty for the first page.
        query: Fingerprint of the query.
        first: Key that the first page starts after.

    Raises:
        InvalidArgument: The token is malformed or belongs to another query.
    """
    cursor = paging.decode(token, query)
    if cursor is None:
        return first
    match cursor:
        case (key,) if isinstance(key, type(first)):
            return key
    raise InvalidArgument("Invalid page_token: expected the next_page_token of an earlier reply.")


def milliseconds(time: Timestamp, field: str) -> int:
    """Return a time as Unix time in milliseconds.

    Raises:
        InvalidArgument: It is before 1970 or after 9999.
    """
    if not 0 <= time.seconds <= _MAX_TIMESTAMP_S:
        raise InvalidArgument(
            f"Invalid value for parameter '{field}': it is {time.seconds} seconds of Unix time; "
            f"expected 0 to {_MAX_TIMESTAMP_S}.",
            field=field,
        )
    return time.seconds * 1000 + time.nanos // 1_000_000
