"""Refuses requests that the contract's field options rule out, before any method sees them.

The checks of a message type are compiled once from its descriptor: `required`, `max_length`, enum
values that exist, and no NUL in text (PostgreSQL cannot store one).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from modelyard.api.options.v1 import options_pb2
from modelyard_kit.errors import InvalidArgument

_Check = Callable[[Message, str], None]


def validate(request: Message) -> None:
    """Check a request against its contract.

    Raises:
        InvalidArgument: Names the field (`metrics[3].key`), the value's size and the limit.
    """
    for check in _checks(request.DESCRIPTOR):
        check(request, "")


@cache
def _checks(message: Descriptor) -> tuple[_Check, ...]:
    return tuple(check for field in message.fields for check in _field_checks(field))


def _field_checks(field: FieldDescriptor) -> list[_Check]:
    checks: list[_Check] = []
    options: Any = field.GetOptions().Extensions  # the stubs know no editions
    repeated = field.is_repeated
    if options[options_pb2.required]:
        checks.append(_required(field))
    limit = options[options_pb2.max_length]
    if limit:
        checks.append(_at_most(field, limit))
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type == field.TYPE_STRING:
        checks.append(_no_nul(field, repeated=repeated))
    if field.enum_type is not None:
        checks.append(_known(field, field.enum_type, repeated=repeated))
    kind = field.message_type
    if kind is None or kind.file.package.startswith("google."):
        return checks  # the well-known types have no limits of ours
    if kind.GetOptions().map_entry:
        checks.append(_entries(field, kind))
    else:
        checks.append(_nested(field, repeated=repeated))
    return checks


def _required(field: FieldDescriptor) -> _Check:
    def check(message: Message, where: str) -> None:
        value = getattr(message, field.name)
        empty = not message.HasField(field.name) if field.has_presence else not value
        if empty or value == "":
            raise InvalidArgument(
                f"Missing value for required parameter '{where}{field.name}'.",
                field=where + field.name,
            )

    return check


def _at_most(field: FieldDescriptor, limit: int) -> _Check:
    unit = "items" if field.is_repeated else "characters"

    def check(message: Message, where: str) -> None:
        length = len(getattr(message, field.name))
        if length > limit:
            raise InvalidArgument(
                f"Invalid value for parameter '{where}{field.name}': "
                f"it has {length:,} {unit}, at most {limit:,} are allowed.",
                field=where + field.name,
            )

    return check


def _no_nul(field: FieldDescriptor, *, repeated: bool) -> _Check:
    def check(message: Message, where: str) -> None:
        value: Any = getattr(message, field.name)
        if any("\0" in text for text in (value if repeated else (value,))):
            raise InvalidArgument(
                f"Invalid value for parameter '{where}{field.name}': it contains a NUL character.",
                field=where + field.name,
            )

    return check


def _known(field: FieldDescriptor, enum: EnumDescriptor, *, repeated: bool) -> _Check:
    known = ", ".join(value.name for value in enum.values if value.number)

    def check(message: Message, where: str) -> None:
        value: Any = getattr(message, field.name)
        for number in value if repeated else (value,):
            if number not in enum.values_by_number:
                raise InvalidArgument(
                    f"Invalid value {number} for parameter '{where}{field.name}'; "
                    f"it must be one of {known}.",
                    field=where + field.name,
                    value=str(number),
                )

    return check


def _nested(field: FieldDescriptor, *, repeated: bool) -> _Check:
    kind = field.message_type

    def check(message: Message, where: str) -> None:
        if repeated:
            for index, item in enumerate(getattr(message, field.name)):
                inside = f"{where}{field.name}[{index}]."
                for nested in _checks(kind):
                    nested(item, inside)
        elif message.HasField(field.name):
            item = getattr(message, field.name)
            for nested in _checks(kind):
                nested(item, f"{where}{field.name}.")

    return check


def _entries(field: FieldDescriptor, kind: Descriptor) -> _Check:
    """Check keys and values of a map as the fields of an entry, which they are when sent."""
    entry = GetMessageClass(kind)

    def check(message: Message, where: str) -> None:
        for key, value in getattr(message, field.name).items():
            inside = f"{where}{field.name}[{key!r}]."
            for nested in _checks(kind):
                nested(entry(key=key, value=value), inside)

    return check
