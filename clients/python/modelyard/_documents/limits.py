"""Limits of a document, and the error of one that exceeds them."""

from __future__ import annotations

MAX_DEPTH = 100
MAX_NODES = 100_000
"""Values and keys of a document, including those that references repeat."""
# A double has at most 767 significant digits. Reading an integer takes the square of its digits.
MAX_NUMBER_LENGTH = 1_000


class Unreadable(ValueError):
    """A document is malformed or exceeds a limit; the message is the reason, without values."""


def text_of(document: str | bytes) -> str:
    """Return the text of a document in UTF-8, without a byte order mark.

    Raises:
        Unreadable: The bytes are not UTF-8.
    """
    if isinstance(document, str):
        return document
    try:
        return document.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"it is not UTF-8 at byte {error.start}") from None


def too_many(max_nodes: int) -> Unreadable:
    return Unreadable(f"it has more than {max_nodes} values, counting each repetition")


def too_deep() -> Unreadable:
    return Unreadable(f"it is nested more than {MAX_DEPTH} levels deep")


def too_long_a_number() -> Unreadable:
    return Unreadable(f"a number has more than {MAX_NUMBER_LENGTH} characters")
