"""Converts the parameters of a URL to a JSON object."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from modelyard_kit.errors import InvalidArgument

_ENUM_NUMBER = re.compile(r"[0-9]{1,9}")
_BOOLEANS = {"true": True, "false": False}


def object_of(kind: Descriptor, pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the JSON object for URL parameters, with values still as text.

    A repeated field is a parameter given several times, a nested field is `outer.inner`; unknown
    parameters are ignored.

    Raises:
        InvalidArgument: A parameter of a single field is given twice, is an object, which only a
            body can hold, or a field of a value that is one text.
    """
    found: dict[str, Any] = {}
    for parameter, text in pairs:
        *outer, last = parameter.split(".")
        holder, inside = found, kind
        for step in outer:
            field = _field(inside, step)
            if field is None or field.is_repeated or field.message_type is None:
                break
            if not _is_nested(field):
                raise InvalidArgument(
                    f"Invalid parameter '{parameter}': '{step}' has no fields in a URL; "
                    f"give it as '{step}=<text>'."
                )
            holder, inside = holder.setdefault(field.name, {}), field.message_type
        else:
            field = _field(inside, last)
            if field is not None:
                _put(holder, field, parameter, text)
    return found


def _put(holder: dict[str, Any], field: FieldDescriptor, parameter: str, text: str) -> None:
    if _is_nested(field):
        raise InvalidArgument(
            f"Invalid value for parameter '{parameter}' supplied: it is an object; "
            f"give its fields as '{parameter}.<field>', or send it in a body."
        )
    value = _typed(field, text)
    if field.is_repeated:
        holder.setdefault(field.name, []).append(value)
    elif field.name in holder:
        raise InvalidArgument(f"Parameter '{parameter}' is given twice, expected once.")
    else:
        holder[field.name] = value


def _typed(field: FieldDescriptor, text: str) -> Any:
    """Return the JSON value of a parameter; booleans and enum numbers are no strings in JSON."""
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _BOOLEANS.get(text.lower(), text)
    if field.type == FieldDescriptor.TYPE_ENUM and _ENUM_NUMBER.fullmatch(text):
        return int(text)
    return text


def _field(kind: Descriptor, name: str) -> FieldDescriptor | None:
    return kind.fields_by_name.get(name) or kind.fields_by_camelcase_name.get(name)


def _is_nested(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name not in _TEXT


_TEXT = {"google.protobuf.Timestamp", "google.protobuf.FieldMask"}
