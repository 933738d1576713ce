"""Adapts messages of another server to the contract's limits, and reports every change.

The limits are read from the contract's field options.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from modelyard.api.options.v1 import options_pb2
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.keys import checked_key

# JSON values, which would be invalid if cut.
_WHOLE_OR_NOT = {"schema", "profile"}
# Messages whose field `key` is checked as a key: it may become the name of a file.
_KEYED = {
    "ExperimentTag",
    "LoggedModelParameter",
    "LoggedModelTag",
    "Metric",
    "ModelVersionTag",
    "Param",
    "RegisteredModelTag",
    "RunTag",
}
_MAX_SHOWN_CHARACTERS = 60

Note = Callable[[str, str], None]


def fit(message: Message, note: Note) -> None:
    """Cut or drop, in place, values that the contract would refuse.

    Args:
        message: Message of the source.
        note: Called for each difference with its kind and details.
    """
    for field, value in list(message.ListFields()):
        if field.message_type is None:
            if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
                _fit_text(message, field, value, note)
        elif field.is_repeated:
            _fit_items(message, field, note)
        else:
            fit(value, note)


def refused_key(key: str) -> str:
    """Return the reason why a key of a metric, param or tag is invalid; "" if it is valid."""
    if not key or len(key) > _limit_of_keys():
        return f"a key must have 1 to {_limit_of_keys()} characters"
    try:
        checked_key(key, "key")
    except InvalidArgument as error:
        return error.message.rpartition("supplied: ")[2]
    return ""


def shown(text: str) -> str:
    """Return a text for a message: quoted, and cut if long."""
    return repr(text if len(text) <= _MAX_SHOWN_CHARACTERS else text[:_MAX_SHOWN_CHARACTERS] + "…")


def _fit_text(message: Message, field: FieldDescriptor, value: str, note: Note) -> None:
    limit = _limit(field)
    name = _name(message, field)
    if "\0" in value:
        note("value-changed", f"{name}: NUL characters are replaced by U+FFFD")
        value = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        setattr(message, field.name, value)
    if not limit or len(value) <= limit:
        return
    if field.name in _WHOLE_OR_NOT:
        note("value-dropped", f"{name}: {len(value):,} characters; at most {limit:,} are allowed")
        message.ClearField(field.name)
    else:
        note("value-cut", f"{name}: {len(value):,} characters, cut to {limit:,}")
        setattr(message, field.name, value[:limit])


def _fit_items(message: Message, field: FieldDescriptor, note: Note) -> None:
    items: Any = getattr(message, field.name)
    kept = []
    for item in items:
        reason = _unkeepable(item)
        if reason:
            note("value-dropped", f"{_name(item)}: {reason}")
        else:
            fit(item, note)
            kept.append(item)
    limit = _limit(field)
    if limit and len(kept) > limit:
        note("value-dropped", f"{field.name}: {len(kept):,} items; at most {limit:,} are allowed")
        kept = kept[:limit]
    if len(kept) < len(items):
        copies = [type(item).FromString(item.SerializeToString()) for item in kept]
        del items[:]
        items.extend(copies)


def _unkeepable(item: Message) -> str:
    """Return the reason why an item cannot be stored; "" if it can."""
    if item.DESCRIPTOR.name in _KEYED and (reason := refused_key(getattr(item, "key"))):  # noqa: B009 - not every message has one
        return reason
    for field in item.DESCRIPTOR.fields:
        options: Any = field.GetOptions().Extensions  # the stubs do not support editions
        if not options[options_pb2.required]:
            continue
        value = getattr(item, field.name)
        if field.message_type is not None and not field.is_repeated:
            if reason := _unkeepable(value):
                return reason
        elif value == "":
            return f"it has no {field.name}"
    return ""


def _limit(field: Any) -> int:
    options: Any = field.GetOptions().Extensions
    limit: int = options[options_pb2.max_length]
    return limit


def _limit_of_keys() -> int:
    from modelyard.api.tracking.v1 import tracking_pb2

    return _limit(tracking_pb2.Param.DESCRIPTOR.fields_by_name["key"])


def _name(message: Message, field: FieldDescriptor | None = None) -> str:
    """Describe a field and its message, e.g. `value of RunTag 'mlflow.note'`."""
    named = next((n for n in ("key", "name") if n in message.DESCRIPTOR.fields_by_name), None)
    what = message.DESCRIPTOR.name
    if named is not None and (field is None or field.name != named):
        what += f" {shown(getattr(message, named))}"
    return what if field is None else f"{field.name} of {what}"
