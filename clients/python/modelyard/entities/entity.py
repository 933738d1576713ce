"""Base class of the entities."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

AS_TEXT = "as_text"
"""In the metadata of a field: a value of another type is converted to text when logged."""


class Entity:
    """Base class of the entities; iterates over (attribute, value), so that `dict(run)` works."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))

    def to_dictionary(self) -> dict[str, Any]:
        """Return all attributes by name, nested entities as dicts."""
        return dataclasses.asdict(self)
