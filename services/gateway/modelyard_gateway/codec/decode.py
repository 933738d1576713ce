"""Decodes JSON values to messages, by tables compiled once per message type.

Accepts protobuf's JSON mapping, strictly: a field that the contract does not have is ignored,
whatever its value; the value of a known field is valid or the request is refused. json_format
cannot do that: when it ignores unknown fields it ignores unknown enum values too, and it reads
`true` as 1.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from modelyard_gateway.codec import well_known
from modelyard_gateway.codec.well_known import Decode, WrongValueError
from modelyard_kit.errors import InvalidArgument

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MAX_SHOWN = 100


def decode(kind: Descriptor, value: Any) -> Message:
    """Return the message for a JSON object.

    Args:
        kind: Type of the message.
        value: JSON value, as parsed by orjson.

    Raises:
        InvalidArgument: A value is invalid. The message names the field (`metrics[3].value`), its
            value and the expected one.
    """
    if type(value) is not dict:
        raise InvalidArgument(f"The body must be a JSON object, got {_shown(value)}.")
    try:
        return GetMessageClass(kind)(**fields_of(kind)(value))
    except WrongValueError as wrong:
        field = _rendered(wrong.path)
        raise InvalidArgument(
            f"Invalid value {_shown(wrong.value)} for parameter '{field}' supplied: "
            f"expected {wrong.expected}.",
            field=field,
        ) from None


@cache
def fields_of(kind: Descriptor) -> Decode:
    """Return a function from a JSON object to the keyword arguments of a message type."""
    fields: dict[str, tuple[str, Decode]] = {}
    for field in kind.fields:
        fields[field.name] = fields[field.json_name] = (field.name, _field(field))

    def decode_object(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise WrongValueError(value, "an object")
        found: dict[str, Any] = {}
        name = ""
        try:
            for key, item in value.items():
                entry = fields.get(key)
                if entry is None or item is None:
                    continue
                name, decode_field = entry
                found[name] = decode_field(item) if name not in found else _twice(item)
        except WrongValueError as wrong:
            wrong.path.append(name)
            raise
        return found

    return decode_object


def _field(field: FieldDescriptor) -> Decode:
    item = well_known.map_value(field)
    if item is not None:
        return _map(_single(item))
    return _list(_single(field)) if field.is_repeated else _single(field)


def _single(field: FieldDescriptor) -> Decode:
    if field.message_type is not None:
        known = well_known.DECODERS.get(field.message_type.full_name)
        if known is not None:
            return known
        return fields_of(field.message_type)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    return _SCALARS[field.type]


def _twice(value: Any) -> Any:
    raise WrongValueError(value, "one value, under one spelling of its name")


def _list(decode_item: Decode) -> Decode:
    def decode_list(value: Any) -> list[Any]:
        if type(value) is not list:
            raise WrongValueError(value, "an array")
        found: list[Any] = []
        try:
            for item in value:
                found.append(decode_item(item))  # noqa: PERF401 - its length locates the error
        except WrongValueError as wrong:
            wrong.path.append(len(found))
            raise
        return found

    return decode_list


def _map(decode_item: Decode) -> Decode:
    def decode_map(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise WrongValueError(value, "an object")
        found: dict[str, Any] = {}
        key = ""
        try:
            for key, item in value.items():
                found[key] = decode_item(item)
        except WrongValueError as wrong:
            wrong.path.append(key)
            raise
        return found

    return decode_map


def _enum(enum: EnumDescriptor) -> Decode:
    numbers: dict[Any, int] = {value.name: value.number for value in enum.values}
    numbers |= {value.number: value.number for value in enum.values}
    expected = "one of " + ", ".join(value.name for value in enum.values if value.number)

    def decode_enum(value: Any) -> int:
        number = numbers.get(value) if type(value) in {str, int, float} else None
        if number is None:
            raise WrongValueError(value, expected)
        return number

    return decode_enum


def _integer(low: int, high: int) -> Decode:
    expected = f"a whole number from {low} to {high}"

    def decode_integer(value: Any) -> int:
        number = value
        if (type(value) is float and value.is_integer()) or (
            type(value) is str and _INTEGER.fullmatch(value)
        ):
            number = int(value)
        if type(number) is not int or not low <= number <= high:
            raise WrongValueError(value, expected)
        return number

    return decode_integer


def _double(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str:
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if _NUMBER.fullmatch(value) and math.isfinite(float(value)):
            return float(value)
    raise WrongValueError(value, 'a number, or "NaN", "Infinity" or "-Infinity"')


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise WrongValueError(value, "true or false")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise WrongValueError(value, "a string")
    return value


def _bytes(value: Any) -> bytes:
    if type(value) is str:
        padded = value + "=" * (-len(value) % 4)
        try:
            return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            pass
    raise WrongValueError(value, "bytes in base64")


_SCALARS: dict[int, Callable[[Any], Any]] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_INT32: _integer(-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_INT64: _integer(-(1 << 63), (1 << 63) - 1),
}
"""The scalar types that the contract uses."""


def _rendered(path: list[str | int]) -> str:
    """Return a path such as `metrics[3].value` from its steps, innermost first."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in reversed(path))
    return "".join(steps).lstrip(".")


def _shown(value: Any) -> str:
    if type(value) is dict:
        return "(an object)"
    if type(value) is list:
        return "(an array)"
    if type(value) is str and len(value) > _MAX_SHOWN:
        value = value[:_MAX_SHOWN] + "…"
    return orjson.dumps(value).decode()
