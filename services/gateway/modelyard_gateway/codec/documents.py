"""Parses JSON documents: bounds what they become in memory, and refuses ambiguous ones."""

from __future__ import annotations

import re
from typing import Any

import orjson

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.http.errors import HttpError

_MAX_BYTES = 128 << 20
"""Largest estimated size of a parsed document. The largest batches of metrics have a third of it; a
document of empty objects may have 200 times the size of its text."""
_CONTAINER_BYTES = 480
"""Size of an object or array with its copy in the arguments of a message, and of that message."""
_VALUE_BYTES = 64
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"[ \t\r\n]*+(:?)', re.DOTALL)
"""A string; the group holds the colon after a key."""


def parse(text: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        InvalidArgument: The text is not JSON, or gives a key of an object twice.
        HttpError: The value would take too much memory.
    """
    # Commas and brackets inside strings count as well: the estimate is an upper bound.
    containers = text.count(b"{") + text.count(b"[")
    values = text.count(b",") + text.count(b":")
    if len(text) + containers * _CONTAINER_BYTES + values * _VALUE_BYTES > _MAX_BYTES:
        raise HttpError(
            413,
            "INVALID_PARAMETER_VALUE",
            f"The body has too many values for one request: up to {values} in {containers} objects "
            "and arrays. Send it in several parts.",
        )
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(
            f"The body is not JSON: {error}. Numbers that are not finite are written as strings: "
            '"NaN", "Infinity", "-Infinity".'
        ) from None
    if _STRING.findall(text).count(b":") != _number_of_keys(document):
        raise InvalidArgument("The body has an object with the same key twice, expected once.")
    return document


def _number_of_keys(document: Any) -> int:
    keys = 0
    left = [document]
    while left:
        value = left.pop()
        if type(value) is dict:
            keys += len(value)
            left.extend(value.values())
        elif type(value) is list:
            left.extend(value)
    return keys
