"""The well-known types of protobuf that the contract uses and that have their own JSON form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

Decode = Callable[[Any], Any]
Encode = Callable[[Any], Any]

_MAX_PATHS = 100
"""Many more than any message has fields: each would be a text of its own."""
_CAPITAL = re.compile("[A-Z]")


class WrongValueError(Exception):
    """A value that its field cannot hold.

    Attributes:
        value: The value, as received.
        expected: Description of a valid value.
        path: Names and indexes that lead to the value, innermost first.
    """

    def __init__(self, value: Any, expected: str) -> None:
        super().__init__(expected)
        self.value = value
        self.expected = expected
        self.path: list[str | int] = []


def map_value(field: FieldDescriptor) -> FieldDescriptor | None:
    """Return the field that holds the values of a map, or None if the field is not a map."""
    kind = field.message_type
    if kind is None or not kind.GetOptions().map_entry:
        return None
    return kind.fields_by_name["value"]


def _timestamp(value: Any) -> Timestamp:
    timestamp = Timestamp()
    try:
        timestamp.FromJsonString(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        expected = "a time in RFC 3339, such as 2026-01-31T12:00:00Z"
        raise WrongValueError(value, expected) from None
    return timestamp


def _field_mask(value: Any) -> FieldMask:
    if type(value) is not str:
        raise WrongValueError(value, "names of fields separated by commas")
    if value.count(",") >= _MAX_PATHS:
        raise WrongValueError(value, f"at most {_MAX_PATHS} names of fields separated by commas")
    # Accepts both spellings of names, as for fields; protobuf's own parser accepts one.
    names = _CAPITAL.sub(lambda found: f"_{found[0].lower()}", value)
    return FieldMask(paths=names.split(",") if names else [])


def number(value: float) -> float | str:
    """Return a double for JSON: a string if it is not finite."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


DECODERS: dict[str, Decode] = {
    Timestamp.DESCRIPTOR.full_name: _timestamp,
    FieldMask.DESCRIPTOR.full_name: _field_mask,
}
ENCODERS: dict[str, Encode] = {
    Timestamp.DESCRIPTOR.full_name: Timestamp.ToJsonString,
    FieldMask.DESCRIPTOR.full_name: FieldMask.ToJsonString,
}
