"""Base class of the entities."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, ClassVar

AS_TEXT = "as_text"
"""In the metadata of a field: a value of another type is converted to text when logged."""

_SHORT = reprlib.Repr()
_SHORT.maxstring = 80
_SHORT.maxother = 80
_SHORT.maxdict = _SHORT.maxlist = 3


class Entity:
    """Base class of the entities; iterates over (attribute, value), so that `dict(run)` works.

    The repr is one line with the attributes that identify the entity, long values cut.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]
    _SHOWN: ClassVar[tuple[str, ...]] = ()
    """Attributes in the repr, dotted for those of a part; all fields if empty."""

    def __repr__(self) -> str:
        paths = self._SHOWN or [field.name for field in dataclasses.fields(self)]
        shown = (
            f"{path.rpartition('.')[2]}={_SHORT.repr(attrgetter(path)(self))}" for path in paths
        )
        return f"{type(self).__name__}({', '.join(shown)})"

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))

    def to_dictionary(self) -> dict[str, Any]:
        """Return all attributes by name, nested entities as dicts."""
        return dataclasses.asdict(self)
