"""JSON of other writers."""

from __future__ import annotations

import json
import re
from typing import Any

from modelyard._documents.limits import (
    MAX_DEPTH,
    MAX_NODES,
    MAX_NUMBER_LENGTH,
    Unreadable,
    text_of,
    too_deep,
    too_long_a_number,
    too_many,
)

# Matches a string without an end, too: otherwise each quotation mark would be tried to the end.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_LONG_NUMBER = re.compile(rf"(?<![0-9])[0-9]{{{MAX_NUMBER_LENGTH + 1}}}")
_BRACKET = re.compile(r"[\[\]{}]")


def read_json(document: str | bytes, *, max_nodes: int = MAX_NODES) -> Any:
    """Return the value of a JSON document, as `json.loads` does: NaN and infinities are read.

    Args:
        document: Text, or its UTF-8.
        max_nodes: Largest number of elements and members.

    Raises:
        Unreadable: The document is malformed, exceeds a limit, or has a key twice in an object.
    """
    text = text_of(document)
    if not _is_small(text, max_nodes):
        _check(_STRING.sub('""', text), max_nodes)
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as malformed:
        where = f"line {malformed.lineno}, column {malformed.colno}"
        raise Unreadable(f"it is not JSON at {where}") from None


def _is_small(text: str, max_nodes: int) -> bool:
    """Whether the text is within every limit even if none of it is in strings."""
    brackets = text.count("[") + text.count("{")
    is_flat = brackets <= MAX_DEPTH and brackets + text.count(",") < max_nodes
    return is_flat and _LONG_NUMBER.search(text) is None


def _check(bare: str, max_nodes: int) -> None:
    """Refuse a text, whose strings are emptied, that exceeds a limit."""
    if bare.count("[") + bare.count("{") + bare.count(",") >= max_nodes:
        raise too_many(max_nodes)
    if _LONG_NUMBER.search(bare):
        raise too_long_a_number()
    depth = 0
    for bracket in _BRACKET.finditer(bare):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            raise too_deep()


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(members)
    if len(made) < len(members):
        raise Unreadable("an object has a key twice")
    return made
