"""Truncation of long texts, for fields that the contract marks with the option `truncated`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from modelyard.api.options.v1 import options_pb2

_MAX_SHOWN_CHARACTERS = 250


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where a message type has texts that are truncated.

    Attributes:
        texts: Names of its own such fields, with the number of characters that are kept.
        nested: Fields whose messages have such texts.
    """

    texts: tuple[tuple[str, int], ...] = ()
    nested: tuple[FieldDescriptor, ...] = ()


def truncate(request: Message) -> list[str]:
    """Truncate the long texts of a request in place.

    Characters are Unicode code points.

    Returns:
        A warning for each; it names the key of the value and no part of the value.
    """
    plan = _plan(request.DESCRIPTOR)
    found = [
        warning for name, limit in plan.texts if (warning := _truncated(request, name, limit)) != ""
    ]
    for field in plan.nested:
        value = getattr(request, field.name)
        if field.is_repeated:
            for item in value:
                found += truncate(item)
        elif request.HasField(field.name):
            found += truncate(value)
    return found


def can_truncate(kind: Descriptor) -> bool:
    """Whether requests of a type have texts that are truncated."""
    return _plan(kind) != _Plan()


def _truncated(message: Any, name: str, limit: int) -> str:
    text = getattr(message, name)
    if len(text) <= limit:
        return ""
    setattr(message, name, text[:limit])
    return (
        f"The {name} of '{message.key[:_MAX_SHOWN_CHARACTERS]}' has {len(text):,} characters; the "
        f"first {limit:,} are stored."
    )


@cache
def _plan(kind: Descriptor) -> _Plan:
    if kind.file.package.startswith("google."):
        return _Plan()
    fields: Sequence[Any] = kind.fields  # the stubs know no editions
    texts = []
    for field in fields:
        options = field.GetOptions().Extensions
        if options[options_pb2.truncated]:
            texts.append((field.name, options[options_pb2.max_length]))
    nested = [field for field in fields if field.message_type is not None]
    return _Plan(tuple(texts), tuple(f for f in nested if can_truncate(f.message_type)))
