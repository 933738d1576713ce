"""The names that a model has had, and the version numbers used under them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, not_, or_, select
from sqlalchemy.orm import Session

from modelyard_kit.errors import AlreadyExists
from modelyard_kit.references.names import MAX_NUMBER
from modelyard_registry.models import Event, ModelName, ModelVersion
from modelyard_registry.rules.history import Action

_GIVING = (Action.VERSION_CREATED, Action.VERSION_IMPORTED)
_BEGINNING = (Action.MODEL_CREATED, Action.MODEL_RENAMED, Action.MODEL_DELETED)


@dataclass(frozen=True, slots=True)
class Period:
    """A time during which a model had a name, as clock values.

    Args:
        name: The name.
        start: Clock value of the rename to this name; 0 if the model was created under the name.
        end: Clock value of the rename from this name; `MAX_NUMBER` if the model still has it.
    """

    name: str
    start: int
    end: int

    @property
    def has_event(self) -> ColumnElement[bool]:
        """Condition on `Event`: it is of this name and in this time."""
        return and_(Event.name == self.name, Event.clock >= self.start, Event.clock < self.end)


def periods(session: Session, name: str) -> Iterator[Period]:
    """Yield the times of each name that a model has had, the present name first.

    The first name counts from the beginning, so its time includes earlier models of the name.
    """
    former: str | None = name
    end = MAX_NUMBER
    while former is not None:
        period = Period(former, 0, end)
        beginnings = select(Event).where(period.has_event, Event.action.in_(_BEGINNING))
        # By revision: the primary key gives this order.
        newest = beginnings.order_by(Event.revision.desc()).limit(1)
        begun = session.scalars(newest).one_or_none()
        renamed_from = None if begun is None else json.loads(begun.after).get("renamed_from")
        if begun is None or renamed_from is None:
            yield period
            return
        # The former name lost the model one tick before.
        start, end = begun.clock, begun.clock - 1
        yield Period(former, start, period.end)
        former = renamed_from


def number_was_used(session: Session, name: str, number: int) -> bool:
    """Return whether a version had a number under the name, or under a former name of the model."""
    times = or_(Event.name == name, *(period.has_event for period in periods(session, name)))
    given = select(Event.clock).where(times, Event.version == number, Event.action.in_(_GIVING))
    if session.scalar(given.limit(1)) is not None:
        return True
    return number in _brought(session, times)


def check_free(session: Session, names: ModelName, name: str) -> None:
    """Refuse to rename a model to a name that has had versions, unless the name was its own.

    Args:
        session: Transaction of the rename.
        names: Row of the new name, which no model has.
        name: Present name of the model.

    Raises:
        AlreadyExists: The name had versions of other models only, or one of its numbers would
            identify two versions.
    """
    if names.next_version == 1:
        return
    own = [period for period in periods(session, name) if period.name == names.name]
    if not own:
        raise AlreadyExists(
            f"The name {names.name} had versions before, and version numbers are never reused; "
            "choose a name that was never used, or a former name of this model.",
            name=names.name,
        )
    others = _numbers_of_others(session, names.name, own)
    mine = select(ModelVersion.version).where(ModelVersion.name == name)
    if both := others.intersection(session.scalars(mine)):
        raise AlreadyExists(
            f"Another model had the name {names.name} in the meantime, with version {min(both)}; "
            f"{name} has a version of that number too, and a number is never used for two "
            "versions. Choose a name that was never used.",
            name=names.name,
            version=str(min(both)),
        )


def _numbers_of_others(session: Session, name: str, own: list[Period]) -> set[int]:
    """Return the numbers that versions of other models had under a name."""
    others = and_(Event.name == name, not_(or_(*(period.has_event for period in own))))
    given = select(Event.version).where(others, Event.action.in_(_GIVING))
    return _brought(session, others).union(filter(None, session.scalars(given)))


def _brought(session: Session, times: ColumnElement[bool]) -> set[int]:
    """Return the numbers of the versions that models had when they were renamed to a name."""
    renames = select(Event.after).where(times, Event.action == Action.MODEL_RENAMED)
    numbers: set[int] = set()
    for after in session.scalars(renames):
        numbers.update(map(int, json.loads(after).get("versions") or ()))
    return numbers
