"""Reading fields of a request that the caller may have left unset."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from modelyard_kit.errors import InvalidArgument


def given(request: Message, field: str) -> Any:
    """Return the value of a field, or None if the caller did not set it."""
    return getattr(request, field) if request.HasField(field) else None


def page_size(request: Message, default: int, most: int, field: str = "max_results") -> int:
    """Return how many results a reply may have.

    Args:
        request: What the caller asked.
        default: For a caller who did not say.
        most: The limit.
        field: Says how many the caller wants.

    Raises:
        InvalidArgument: Not 1 to `most`.
    """
    asked: int | None = given(request, field)
    if asked is None:
        return default
    if not 1 <= asked <= most:
        raise InvalidArgument(
            f"Invalid value {asked} for parameter '{field}' supplied: "
            f"it must be at least 1 and at most {most}.",
            field=field,
            value=str(asked),
        )
    return asked


def require(message: Message, where: str, *fields: str) -> None:
    """Check that fields are set which the contract requires of this one request.

    Args:
        message: Of a kind that other requests, or replies, hold too.
        where: Where it stands in the request, e.g. `run.info.`.
        fields: Texts may not be empty, and enums not unspecified.

    Raises:
        InvalidArgument: Names the first that is not set.
    """
    for name in fields:
        value = getattr(message, name)
        is_enum = message.DESCRIPTOR.fields_by_name[name].enum_type is not None
        if not message.HasField(name) or value == "" or (is_enum and value == 0):
            raise InvalidArgument(
                f"Missing value for required parameter '{where}{name}'.", field=where + name
            )
