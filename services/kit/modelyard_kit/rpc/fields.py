"""Access to fields of a request that may be unset."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from modelyard_kit.errors import missing


def given(request: Message, field: str, default: Any = None) -> Any:
    """Return the value of a field, or `default` if the caller did not set it."""
    return getattr(request, field) if request.HasField(field) else default


def is_missing(message: Message, field: FieldDescriptor) -> bool:
    """Whether a field counts as missing: unset, an empty text or list, or an enum's zero."""
    if field.has_presence and not message.HasField(field.name):
        return True
    value = getattr(message, field.name)
    if field.is_repeated:
        return not value
    return value == "" or (field.enum_type is not None and value == 0)


def require(message: Message, where: str, *fields: str) -> None:
    """Check fields that are required in this request, but not everywhere the message occurs.

    Args:
        message: Message of a type that other requests, or replies, contain too.
        where: Path of the message in the request, with a dot at its end, e.g. `run.info.`.
        fields: Names of the required fields.

    Raises:
        InvalidArgument: A field is missing; names the first one.
    """
    for name in fields:
        field: Any = message.DESCRIPTOR.fields_by_name[name]  # the stubs have two types of it
        if is_missing(message, field):
            raise missing(where + name)
