"""What tags, imported numbers and etags may be."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard_kit.errors import Aborted, InvalidArgument
from modelyard_kit.keys import checked_key
from modelyard_kit.references.names import shown

MAX_NAME_CHARACTERS = 256

MAX_IMPORTED_NUMBER = 2**31 - 2
"""Other registries count with 31 bits; the numbers after it are left for new versions."""


def check_tag_keys(keys: Iterable[str]) -> None:
    """Check the keys of the tags something is created with.

    Raises:
        InvalidArgument: One is not valid, or is given twice.
    """
    seen: set[str] = set()
    for key in keys:
        checked_key(key, "tags.key")
        if key in seen:
            raise InvalidArgument(f"The tag {shown(key)} is given twice.", key=key)
        seen.add(key)


def checked_between(value: int, parameter: str, least: int, most: int) -> int:
    """Check a number and return it.

    Raises:
        InvalidArgument: It is not from `least` to `most`.
    """
    if not least <= value <= most:
        raise InvalidArgument(
            f"Invalid value {value} for parameter '{parameter}': it must be from {least} to "
            f"{most:,}.",
            field=parameter,
        )
    return value


def check_etag(expected: str, actual: str) -> None:
    """Refuse a write that was decided on when the resource was another.

    Raises:
        Aborted: `expected` is set and stale.
    """
    if expected and expected != actual:
        raise Aborted(
            f"It changed since it was read: the etag is {actual} now, the one given was "
            f"{shown(expected)}. Read it again, then retry.",
            etag=actual,
        )
