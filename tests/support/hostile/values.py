"""Invalid and extreme values for each kind of field, and the fields of a request to put them in."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from modelyard.api.options.v1 import options_pb2

TEXTS = (
    "",
    "x",
    " ",
    "a\0b",
    "\x01\x1b[31m\x7f",
    "\u202etxt.exe",
    "e\u0301\u0301\u0301",
    "\N{GRINNING FACE}" * 3,
    "..",
    ".",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "%252e%252e%252f",
    "..\\..\\boot.ini",
    ";/../etc",
    "#/../etc",
    "a/../b",
    "//etc/passwd",
    "/etc/passwd",
    "file:///etc/passwd",
    "file://localhost/etc/passwd",
    "\u2215etc\u2215passwd",
    "\uff0e\uff0e/x",
    "name.",
    "' OR '1'='1",
    "x'; DROP TABLE event; --",
    "100%_\\",
    "(" * 10_000,
    "AND AND =",
    "name = 'x' OR",
    "-1",
    "99999999999999999999999",
    "1e400",
    "null",
    "{}",
    "\u00e9" * 3_000,
    "x" * 1_000_000,
)
_ALWAYS = ("a\0b", "../../etc/passwd", -(2**63), 2**63 - 1)
INTEGERS = (0, -1, 1)
FLOATS = (math.inf, -math.inf, math.nan, -0.0, 1e308, -1e308, 5e-324)
_INTEGER_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_MANY = 10_001
_MAX_DEPTH = 4


@dataclass(frozen=True)
class Place:
    """A field somewhere in a request: the first element of each list on the way."""

    steps: tuple[FieldDescriptor, ...]

    @property
    def field(self) -> FieldDescriptor:
        return self.steps[-1]

    def __str__(self) -> str:
        return ".".join(step.name for step in self.steps)

    def set(self, request: Message, value: Any) -> None:
        """Set the field to a value; missing messages on the way are created."""
        message = request
        for step in self.steps[:-1]:
            inside: Any = getattr(message, step.name)
            if step.is_repeated:
                message = inside[0] if len(inside) else inside.add()
            else:
                inside.SetInParent()
                message = inside
        _set(message, self.field, value)


def places(kind: Descriptor, above: tuple[FieldDescriptor, ...] = ()) -> Iterator[Place]:
    """Return each field of a message and of the messages in it."""
    for field in kind.fields:
        steps = (*above, field)
        yield Place(steps)
        if field.message_type is not None and len(steps) < _MAX_DEPTH:
            yield from places(field.message_type, steps)


def some(place: Place) -> Iterator[Any]:
    """Return a few of the hostile values of a field, different ones for each field."""
    values = list(hostile(place))
    step = 3 if len(place.steps) == 1 else 12
    first = zlib.crc32(str(place).encode()) % step
    yield from values[first::step]
    yield from [value for value in values if value in _ALWAYS]


def hostile(place: Place) -> Iterator[Any]:
    """Return values for a field; for a list, lists of one value and lists of an invalid length."""
    field = place.field
    singles = list(_singles(field))
    if not field.is_repeated:
        yield from singles
        return
    yield []
    for single in singles:
        yield [single]
    if field.message_type is None:
        yield singles[1:2] * _MANY
        yield singles[1:2] * 2


def _singles(field: FieldDescriptor) -> Iterator[Any]:
    if field.type == FieldDescriptor.TYPE_STRING:
        yield from TEXTS
        extensions: Any = field.GetOptions().Extensions  # the stubs know no editions
        limit: int = extensions[options_pb2.max_length]
        if limit:
            yield "x" * limit
            yield "x" * (limit + 1)
    elif field.type == FieldDescriptor.TYPE_BYTES:
        yield from (b"", b"\0", b"x" * 1_000_000)
    elif field.type == FieldDescriptor.TYPE_BOOL:
        yield from (False, True)
    elif field.enum_type is not None:
        yield from (0, -1, 9_999, *field.enum_type.values_by_number)
    elif field.cpp_type in _INTEGER_RANGES:
        least, most = _INTEGER_RANGES[field.cpp_type]
        yield from (number for number in (least, most, *INTEGERS) if number >= least)
    elif field.message_type is None:
        yield from FLOATS


def _set(message: Message, field: FieldDescriptor, value: Any) -> None:
    message.ClearField(field.name)
    if field.is_repeated:
        target: Any = getattr(message, field.name)
        if field.message_type is None:
            target.extend(value)
    else:
        setattr(message, field.name, value)
