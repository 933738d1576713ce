"""What all entities can do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

AS_TEXT = "as_text"
"""In the metadata of a field: a value of another type is turned to text where it is logged."""


class Entity:
    """Reads as pairs of attribute and value, so that `dict(version)` shows what it holds."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))

    def to_dictionary(self) -> dict[str, Any]:
        """Return all attributes by name, entities inside as dicts too."""
        return dataclasses.asdict(self)
