"""Reading fields that may be unset."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message


def given(request: Message, field: str) -> Any:
    """Return the value of a field, or None if the caller did not set it."""
    return getattr(request, field) if request.HasField(field) else None
