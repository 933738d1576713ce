"""Reading fields of a request that the caller may have left unset."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from modelyard_kit.errors import missing


def given(request: Message, field: str, default: Any = None) -> Any:
    """Return the value of a field, or `default` if the caller did not set it."""
    return getattr(request, field) if request.HasField(field) else default


def is_missing(message: Message, field: FieldDescriptor) -> bool:
    """Whether a field counts as not given: unset, an empty text or list, or an enum's zero."""
    if field.has_presence and not message.HasField(field.name):
        return True
    value = getattr(message, field.name)
    if field.is_repeated:
        return not value
    return value == "" or (field.enum_type is not None and value == 0)


def require(message: Message, where: str, *fields: str) -> None:
    """Check that fields are given which the contract requires of this one request.

    Args:
        message: Of a kind that other requests, or replies, hold too.
        where: Where it stands in the request, e.g. `run.info.`.
        fields: Which ones.

    Raises:
        InvalidArgument: Names the first that is missing.
    """
    for name in fields:
        field: Any = message.DESCRIPTOR.fields_by_name[name]  # the stubs have two types of it
        if is_missing(message, field):
            raise missing(where + name)
