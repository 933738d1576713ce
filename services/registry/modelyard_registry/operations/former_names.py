"""The names that a model has had, and the version numbers used under them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from modelyard_kit.db.rows import Rows
from modelyard_kit.errors import AlreadyExists
from modelyard_kit.references.names import MAX_NUMBER
from modelyard_registry.statements.events import (
    BEGINNING,
    GIVEN,
    GIVEN_NUMBER,
    RENAMES,
    Patch,
)
from modelyard_registry.statements.model_versions import NUMBERS
from modelyard_registry.statements.registered_models import Names


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
    def values(self) -> dict[str, Any]:
        """Parameters of the statements on events of this name and time."""
        return asdict(self)

    def has(self, clock: int) -> bool:
        """Return whether an event of this name was in this time."""
        return self.start <= clock < self.end


def periods(rows: Rows, name: str) -> Iterator[Period]:
    """Yield the times of each name that a model has had, the present name first.

    The first name counts from the beginning, so its time includes earlier models of the name.
    """
    former: str | None = name
    end = MAX_NUMBER
    while former is not None:
        period = Period(former, 0, end)
        begun = rows.first(BEGINNING, period.values)
        renamed_from = None if begun is None else json.loads(begun.after).get("renamed_from")
        if begun is None or renamed_from is None:
            yield period
            return
        # The former name lost the model one tick before.
        start, end = begun.clock, begun.clock - 1
        yield Period(former, start, period.end)
        former = renamed_from


def number_was_used(rows: Rows, name: str, number: int) -> bool:
    """Return whether a version had a number under the name, or under a former name of the model."""
    for period in (_always(name), *periods(rows, name)):
        if rows.first(GIVEN_NUMBER, period.values | {"version": number}) is not None:
            return True
        if number in _brought(rows.execute(RENAMES, period.values)):
            return True
    return False


def check_free(rows: Rows, names: Names, name: str) -> None:
    """Refuse to rename a model to a name that has had versions, unless the name was its own.

    Args:
        rows: Rows of the rename.
        names: Row of the new name, which no model has.
        name: Present name of the model.

    Raises:
        AlreadyExists: The name had versions of other models only, or one of its numbers would
            identify two versions.
    """
    if names.next_version == 1:
        return
    own = [period for period in periods(rows, name) if period.name == names.name]
    if not own:
        raise AlreadyExists(
            f"The name {names.name} had versions before, and version numbers are never reused; "
            "choose a name that was never used, or a former name of this model.",
            name=names.name,
        )
    mine = {number for (number,) in rows.execute(NUMBERS, {"name": name})}
    if both := mine.intersection(_numbers_of_others(rows, names.name, own)):
        raise AlreadyExists(
            f"Another model had the name {names.name} in the meantime, with version {min(both)}; "
            f"{name} has a version of that number too, and a number is never used for two "
            "versions. Choose a name that was never used.",
            name=names.name,
            version=str(min(both)),
        )


def _always(name: str) -> Period:
    return Period(name, 0, MAX_NUMBER)


def _numbers_of_others(rows: Rows, name: str, own: list[Period]) -> set[int]:
    """Return the numbers that versions of other models had under a name."""

    def is_of_others(clock: int) -> bool:
        return not any(period.has(clock) for period in own)

    always = _always(name).values
    given = {event.version for event in rows.execute(GIVEN, always) if is_of_others(event.clock)}
    renames = rows.execute(RENAMES, always)
    return given | _brought(event for event in renames if is_of_others(event.clock))


def _brought(renames: Iterable[Patch]) -> set[int]:
    """Return the numbers of the versions that models had when they were renamed to a name."""
    numbers: set[int] = set()
    for event in renames:
        numbers.update(map(int, json.loads(event.after).get("versions") or ()))
    return numbers
