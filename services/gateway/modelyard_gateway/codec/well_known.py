"""The well-known types of protobuf that the contract uses and that have their own JSON form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

Decode = Callable[[Any], Any]
Encode = Callable[[Any], Any]

MAX_DEPTH = 24
"""Deepest nesting of free-form arrays and objects. Protobuf's parsers accept 100 nested messages,
and each level takes up to four of them."""

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
    # Accepts both spellings of names, as for fields; protobuf's own parser accepts one.
    names = _CAPITAL.sub(lambda found: f"_{found[0].lower()}", value)
    return FieldMask(paths=names.split(",") if names else [])


def _struct(value: Any) -> Struct:
    if type(value) is not dict:
        raise WrongValueError(value, "an object")
    _check_depth(value, MAX_DEPTH)
    struct = Struct()
    struct.update(value)
    return struct


def _check_depth(value: Any, left: int) -> None:
    if type(value) not in {dict, list}:
        return
    if not left:
        raise WrongValueError(value, f"at most {MAX_DEPTH} levels of nesting")
    for item in value.values() if type(value) is dict else value:
        _check_depth(item, left - 1)


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _plain_struct(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind == "number_value":
        return number(value.number_value)
    return None if kind in {None, "null_value"} else getattr(value, kind)


def _plain_struct(struct: Struct) -> dict[str, Any]:
    return {key: _plain(item) for key, item in struct.fields.items()}


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
    Struct.DESCRIPTOR.full_name: _struct,
}
ENCODERS: dict[str, Encode] = {
    Timestamp.DESCRIPTOR.full_name: Timestamp.ToJsonString,
    FieldMask.DESCRIPTOR.full_name: FieldMask.ToJsonString,
    Struct.DESCRIPTOR.full_name: _plain_struct,
}
