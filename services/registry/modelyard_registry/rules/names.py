"""Checks of tag keys, imported version numbers and etags."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard_kit.errors import Aborted, InvalidArgument
from modelyard_kit.keys import checked_key
from modelyard_kit.references.names import shown

MAX_NAME_CHARACTERS = 256

MAX_IMPORTED_NUMBER = 2**31 - 2
"""Other registries use 31-bit numbers; greater ones are reserved for new versions."""


def check_tag_keys(keys: Iterable[str]) -> None:
    """Check the tag keys of a create or import request.

    Raises:
        InvalidArgument: A key is not valid or is repeated.
    """
    seen: set[str] = set()
    for key in keys:
        checked_key(key, "tags.key")
        if key in seen:
            raise InvalidArgument(f"Duplicate tag key {shown(key)}; give each key once.", key=key)
        seen.add(key)


def checked_between(value: int, parameter: str, minimum: int, maximum: int) -> int:
    """Check a number and return it.

    Raises:
        InvalidArgument: It is less than `minimum` or greater than `maximum`.
    """
    if not minimum <= value <= maximum:
        raise InvalidArgument(
            f"Invalid value {value} for parameter '{parameter}': it must be from {minimum} to "
            f"{maximum:,}.",
            field=parameter,
        )
    return value


def check_etag(expected: str, actual: str) -> None:
    """Refuse a write that is based on an outdated read of the resource.

    Raises:
        Aborted: `expected` is set and stale.
    """
    if expected and expected != actual:
        raise Aborted(
            f"Etag mismatch: the current etag is {actual}, the request expected {shown(expected)}. "
            "Nothing was written; read the resource again, then retry.",
            etag=actual,
        )
