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
