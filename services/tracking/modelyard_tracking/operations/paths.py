"""Conditions on the paths of artifact trees."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_, true
from sqlalchemy.orm import InstrumentedAttribute


def at_or_below(column: InstrumentedAttribute[str], path: str) -> ColumnElement[bool]:
    """Return a condition for paths at or below a path; for all paths if it is empty."""
    if not path:
        return true()
    # "0" is the character after "/".
    return or_(column == path, and_(column > f"{path}/", column < f"{path}0"))
