"""Whether a request is valid, by functions generated from the contract.

`modelyard_kit.rpc.validation` has the same rules, and says which one a request breaks. Nearly all
requests are valid, and batches have thousands of values, so these functions only read each value
and compare it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from keyword import iskeyword
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from modelyard.api.options.v1 import options_pb2

_LARGEST = sys.float_info.max


@cache
def validity(kind: Descriptor) -> Callable[[Message], bool]:
    """Return the function that tells whether a message of a type is valid."""
    source = _Source()
    name = source.function(kind)
    text = "\n".join(source.lines())
    exec(text, source.names)  # noqa: S102 - made from the contract, not from anything received
    found: Callable[[Message], bool] = source.names[name]
    return found


class _Source:
    """Source of the functions for a message type and for those inside it.

    In a function, `m` is the message, `v` the value of a field, and `i` an item of a list.

    Attributes:
        names: Objects that the source refers to, by name.
    """

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"is_listed": _is_listed}
        self._functions: dict[Descriptor, str] = {}

    def function(self, kind: Descriptor) -> str:
        """Return the name of the function for a message type."""
        return self._functions.setdefault(kind, f"is_valid_{len(self._functions)}")

    def lines(self) -> Iterator[str]:
        """Return the lines of all functions; those of a field may ask for a further function."""
        written = 0
        while written < len(self._functions):
            kind, name = list(self._functions.items())[written]
            fields: Sequence[Any] = kind.fields  # the stubs know no editions
            yield f"def {name}(m):"
            for field in fields:
                yield from (f" {line}" for line in self._checks(field))
            yield " return True"
            written += 1

    def _checks(self, field: FieldDescriptor) -> Iterator[str]:
        extensions = _extensions(field)
        is_required = extensions[options_pb2.required]
        if is_required and not _is_empty_if_unset(field):
            yield f"if not ({_is_set(field)}): return False"
        if field.message_type is not None and not field.is_repeated:
            for wrong in self._wrong(field, _value(field)):
                yield f"if {_is_set(field)} and {wrong}: return False"
            return
        checks = []
        if is_required and _may_be_empty(field):
            checks.append("if not v: return False")
        too_long = [f"len(v) > {limit}"] if (limit := extensions[options_pb2.max_length]) else []
        if field.is_repeated:
            checks += [f"if {wrong}: return False" for wrong in too_long]
            checks += self._item_checks(field)
        elif wrong := " or ".join([*too_long, *self._wrong(field, "v")]):
            # An empty text counts as missing. Presence is asked last: few values are wrong.
            given = "v and " if field.type == field.TYPE_STRING else ""
            checks.append(f"if {given}({wrong}) and {_is_set(field)}: return False")
        if checks:
            yield f"v = {_value(field)}"
            yield from checks

    def _item_checks(self, field: FieldDescriptor) -> Iterator[str]:
        """Return the lines that check each item of a list, or each key and value of a map."""
        items, wrong = "i in v", [*self._wrong(field, "i")]
        if _is_map(field):
            entry: Any = field.message_type
            items = "i, j in v.items()"
            wrong += self._wrong(entry.fields_by_name["key"], "i")
            wrong += self._wrong(entry.fields_by_name["value"], "j")
        if wrong:
            yield f"for {items}:"
            yield f" if {' or '.join(wrong)}: return False"

    def _wrong(self, field: FieldDescriptor, value: str) -> Iterator[str]:
        """Return the conditions under which one value of a field is wrong."""
        options: Any = field.GetOptions()
        extensions, kind = options.Extensions, field.message_type
        if field.type == field.TYPE_STRING:
            yield f"'\\0' in {value}"
        if field.enum_type is not None:
            yield f"{value} not in {set(field.enum_type.values_by_number)}"
        limits = extensions[options_pb2.range]
        if limits.HasField("min"):
            yield f"{value} < {limits.min}"
        if limits.HasField("max"):
            yield f"{value} > {limits.max}"
        if options.HasExtension(options_pb2.double_range):
            ends = extensions[options_pb2.double_range]
            low = max(ends.min, -_LARGEST) if ends.HasField("min") else -_LARGEST
            high = min(ends.max, _LARGEST) if ends.HasField("max") else _LARGEST
            yield f"not {low!r} <= {value} <= {high!r}"  # also of NaN
        if options.HasExtension(options_pb2.pattern):
            regex = re.compile(extensions[options_pb2.pattern].regex, re.ASCII)
            self.names[name := f"match_{len(self.names)}"] = regex.fullmatch
            yield f"{name}({value}) is None"
        if texts := extensions[options_pb2.one_of]:
            yield f"{value} not in {set(texts)}"
        if kind is not None and not _is_map(field) and not kind.file.package.startswith("google."):
            yield f"not {self.function(kind)}({value})"


def _may_be_empty(field: FieldDescriptor) -> bool:
    """Whether a field has a value that counts as missing (`fields.is_missing`)."""
    return field.is_repeated or field.type == field.TYPE_STRING or field.enum_type is not None


def _is_empty_if_unset(field: FieldDescriptor) -> bool:
    """Whether an unset field has a value that counts as missing, or no field can be unset."""
    return not field.has_presence or (_may_be_empty(field) and not field.default_value)


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def _is_set(field: FieldDescriptor) -> str:
    if field.has_presence:
        return f"m.HasField({field.name!r})"
    return f"is_listed(m, {field.number})"


def _is_listed(message: Message, number: int) -> bool:
    return any(field.number == number for field, _ in message.ListFields())


def _value(field: FieldDescriptor) -> str:
    return f"getattr(m, {field.name!r})" if iskeyword(field.name) else f"m.{field.name}"


def _extensions(field: FieldDescriptor) -> Any:
    options: Any = field.GetOptions()  # the stubs know no editions
    return options.Extensions
