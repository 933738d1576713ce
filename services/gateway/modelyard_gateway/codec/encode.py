"""Encodes messages as JSON, by tables compiled once per message type.

The format is the one that MLflow's clients read: names as in the contract, unset fields omitted,
64-bit integers as numbers (strings in protobuf's JSON), doubles that are not finite as strings. The
last page has no `next_page_token`: clients end when it is missing.
"""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from modelyard_gateway.codec import well_known
from modelyard_gateway.codec.well_known import Encode

_NEXT_PAGE = "next_page_token"


def encode(message: Message) -> bytes:
    """Return a message as JSON."""
    return orjson.dumps(object_of(message.DESCRIPTOR)(message))


@cache
def object_of(kind: Descriptor) -> Encode:
    """Return a function from a message of a type to a dict that orjson can serialize."""
    single = [(field.name, _single(field)) for field in kind.fields if not field.is_repeated]
    is_page = _NEXT_PAGE in kind.fields_by_name
    repeated = [(field.name, _repeated(field)) for field in kind.fields if field.is_repeated]

    def encode_object(message: Message) -> dict[str, Any]:
        found: dict[str, Any] = {}
        has = message.HasField
        for name, encode_field in single:
            if has(name):
                value = getattr(message, name)
                found[name] = value if encode_field is None else encode_field(value)
        for name, encode_items in repeated:
            if items := getattr(message, name):
                found[name] = encode_items(items)
        if is_page and not found.get(_NEXT_PAGE):
            found.pop(_NEXT_PAGE, None)
        return found

    return encode_object


def _single(field: FieldDescriptor) -> Encode | None:
    """Return the encoder of a single value, or None if it needs none."""
    if field.message_type is not None:
        known = well_known.ENCODERS.get(field.message_type.full_name)
        return known or object_of(field.message_type)
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda number: names.get(number, number)
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return well_known.number
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    return None


def _repeated(field: FieldDescriptor) -> Encode:
    map_value = well_known.map_value(field)
    encode_item = _single(map_value or field)
    if map_value is not None:
        return dict if encode_item is None else _values(encode_item)
    return list if encode_item is None else _items(encode_item)


def _items(encode_item: Encode) -> Encode:
    return lambda items: [encode_item(item) for item in items]


def _values(encode_value: Encode) -> Encode:
    return lambda items: {key: encode_value(value) for key, value in items.items()}
