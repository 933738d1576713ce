"""Validation of requests against the contract's field options, before the method runs.

The rules are the options of `modelyard.api.options.v1`, known enum values, and no NUL in text,
which PostgreSQL cannot store. `modelyard_kit.rpc.validity` tells whether a request keeps them; the
checks here, made once from the descriptor of a message type, say which one it breaks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from modelyard.api.options.v1 import options_pb2
from modelyard_kit.errors import InvalidArgument, missing
from modelyard_kit.rpc.fields import is_missing
from modelyard_kit.rpc.validity import validity

_Check = Callable[[Any, str], None]
"""Takes the value of a field that is set, and the path of its message, e.g. `metrics[3].`."""
_CheckValue = Callable[[Any, str], None]
"""Takes a single value and the path of its field, e.g. `metrics[3].key`."""

_MAX_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class _Checks:
    """The checks of a message type.

    Attributes:
        required: Fields that must not be missing.
        by_field: Checks of the fields that are set, by field number.
    """

    required: tuple[FieldDescriptor, ...]
    by_field: dict[int, tuple[_Check, ...]]


def validate(request: Message) -> None:
    """Check a request against its contract.

    Raises:
        InvalidArgument: A field is missing or invalid; names the field (`metrics[3].key`), the
            value or its size, and the limit.
    """
    kind = request.DESCRIPTOR
    if not validity(kind)(request):
        explain(request)
        raise AssertionError(f"{kind.full_name} is refused, and no check explains why")


def explain(request: Message) -> None:
    """Raise the error of a request that is not valid, as `validate` does; slower."""
    _validate(request, _checks(request.DESCRIPTOR), "")


def _validate(message: Message, checks: _Checks, where: str) -> None:
    for field in checks.required:
        if is_missing(message, field):
            raise missing(where + field.name)
    for field, value in message.ListFields():
        for check in checks.by_field[field.number]:
            check(value, where)


@cache
def _checks(message: Descriptor) -> _Checks:
    fields: Sequence[Any] = message.fields  # the stubs know no editions
    return _Checks(
        required=tuple(f for f in fields if f.GetOptions().Extensions[options_pb2.required]),
        by_field={field.number: tuple(_field_checks(field)) for field in fields},
    )


def _field_checks(field: FieldDescriptor) -> Iterator[_Check]:
    options: Any = field.GetOptions()
    if limit := options.Extensions[options_pb2.max_length]:
        yield _at_most(field, limit)
    if field.type == field.TYPE_STRING:
        yield _no_nul(field)
    if field.enum_type is not None:
        yield _known(field, field.enum_type)
    for check in _value_checks(options):
        yield _each(field, check)
    kind = field.message_type
    if kind is None or kind.file.package.startswith("google."):
        return  # the well-known types have no options of ours
    yield _entries(field, kind) if kind.GetOptions().map_entry else _nested(field, kind)


def _value_checks(options: Any) -> Iterator[_CheckValue]:
    extensions = options.Extensions
    if options.HasExtension(options_pb2.range):
        yield _in_range(extensions[options_pb2.range])
    if options.HasExtension(options_pb2.double_range):
        yield _in_double_range(extensions[options_pb2.double_range])
    if options.HasExtension(options_pb2.pattern):
        yield _matches(extensions[options_pb2.pattern], hidden=options.debug_redact)
    if texts := extensions[options_pb2.one_of]:
        yield _one_of(tuple(texts))


def _each(field: FieldDescriptor, check: _CheckValue) -> _Check:
    """Return a check of a value, or of each element of a list."""
    name = field.name

    def check_all(values: Sequence[Any], where: str) -> None:
        for index, value in enumerate(values):
            check(value, f"{where}{name}[{index}]")

    def check_one(value: Any, where: str) -> None:
        if value != "":  # an empty text counts as missing
            check(value, where + name)

    return check_all if field.is_repeated else check_one


def _at_most(field: FieldDescriptor, limit: int) -> _Check:
    unit = "items" if field.is_repeated else "characters"

    def check(value: Sequence[Any], where: str) -> None:
        if len(value) > limit:
            raise InvalidArgument(
                f"Invalid value for parameter '{where}{field.name}': "
                f"it has {len(value):,} {unit}, at most {limit:,} are allowed.",
                field=where + field.name,
            )

    return check


def _no_nul(field: FieldDescriptor) -> _Check:
    repeated = field.is_repeated

    def check(value: Any, where: str) -> None:
        if any("\0" in text for text in value) if repeated else "\0" in value:
            raise InvalidArgument(
                f"Invalid value for parameter '{where}{field.name}': it contains a NUL character.",
                field=where + field.name,
            )

    return check


def _known(field: FieldDescriptor, enum: EnumDescriptor) -> _Check:
    repeated = field.is_repeated
    numbers = frozenset(enum.values_by_number)
    known = ", ".join(value.name for value in enum.values if value.number)

    def check(value: Any, where: str) -> None:
        for number in value if repeated else (value,):
            if number not in numbers:
                raise InvalidArgument(
                    f"Invalid value {number} for parameter '{where}{field.name}'; "
                    f"it must be one of {known}.",
                    field=where + field.name,
                    value=str(number),
                )

    return check


def _nested(field: FieldDescriptor, kind: Descriptor) -> _Check:
    name = field.name

    def check_all(items: Sequence[Message], where: str) -> None:
        checks = _checks(kind)
        for index, item in enumerate(items):
            _validate(item, checks, f"{where}{name}[{index}].")

    def check_one(item: Message, where: str) -> None:
        _validate(item, _checks(kind), f"{where}{name}.")

    return check_all if field.is_repeated else check_one


def _entries(field: FieldDescriptor, kind: Descriptor) -> _Check:
    """Return a check of the keys and values of a map, as fields of its entry message."""
    entry, name = GetMessageClass(kind), field.name

    def check(values: Mapping[Any, Any], where: str) -> None:
        checks = _checks(kind)
        for key, value in values.items():
            _validate(entry(key=key, value=value), checks, f"{where}{name}[{key!r}].")

    return check


def _in_range(range_: options_pb2.Range) -> _CheckValue:
    low = range_.min if range_.HasField("min") else None
    high = range_.max if range_.HasField("max") else None
    expected = f"it must be {_bounds(low, high)}"

    def check(value: int, parameter: str) -> None:
        if (low is not None and value < low) or (high is not None and value > high):
            raise _out_of_range(value, parameter, expected)

    return check


def _in_double_range(range_: options_pb2.DoubleRange) -> _CheckValue:
    low = range_.min if range_.HasField("min") else -math.inf
    high = range_.max if range_.HasField("max") else math.inf
    limits = _bounds(*(limit if math.isfinite(limit) else None for limit in (low, high)))
    expected = f"it must be a finite number, {limits}"

    def check(value: float, parameter: str) -> None:
        if not math.isfinite(value) or not low <= value <= high:
            raise _out_of_range(value, parameter, expected)

    return check


def _bounds(low: float | None, high: float | None) -> str:
    limits = (("at least", low), ("at most", high))
    return " and ".join(f"{word} {limit}" for word, limit in limits if limit is not None)


def _out_of_range(value: float, parameter: str, expected: str) -> InvalidArgument:
    return InvalidArgument(
        f"Invalid value {value} for parameter '{parameter}' supplied: {expected}.",
        field=parameter,
        value=str(value),
    )


def _matches(pattern: options_pb2.Pattern, *, hidden: bool) -> _CheckValue:
    regex = re.compile(pattern.regex, re.ASCII)

    def check(text: str, parameter: str) -> None:
        if regex.fullmatch(text) is None:
            shown = "" if hidden else f" {_shown(text)}"
            raise InvalidArgument(
                f"Invalid value{shown} for parameter '{parameter}': expected {pattern.expected}.",
                field=parameter,
            )

    return check


def _one_of(texts: Sequence[str]) -> _CheckValue:
    allowed = frozenset(texts)
    expected = f"it must be one of {', '.join(texts)}"

    def check(text: str, parameter: str) -> None:
        if text not in allowed:
            raise InvalidArgument(
                f"Invalid value {_shown(text)} for parameter '{parameter}': {expected}.",
                field=parameter,
            )

    return check


def _shown(text: str) -> str:
    cut = text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "…"
    return f"'{cut}'"
