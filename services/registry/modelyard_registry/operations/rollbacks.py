"""The earlier holders of a stage or an alias, computed from the history of a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from modelyard_kit.db.rows import Rows
from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.references.names import MAX_NUMBER
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import Alias
from modelyard_registry.operations.former_names import periods
from modelyard_registry.operations.model_versions import get_version
from modelyard_registry.rules.history import Action, Document
from modelyard_registry.rules.rollback import Move, earlier_holders
from modelyard_registry.statements import events
from modelyard_registry.statements.model_versions import READY_NUMBERS, Version

_EVENTS_AT_FIRST = 25
_MAX_SHOWN = 10


def reinstated(
    rows: Rows, name: str, place: Stage | Alias, present: int | None, to: int | None
) -> Version:
    """Return the version that a rollback makes the holder of a stage or the target of an alias.

    Args:
        rows: Rows of the rollback.
        name: Name of the model, locked.
        place: An exclusive stage, or an alias.
        present: Number of the present holder; None if there is none.
        to: Number of the version to reinstate; None for the newest candidate.

    Raises:
        FailedPrecondition: There is no candidate, or `to` is none of the earlier holders that still
            exist and are ready; the message lists those.
    """
    ready = {number for (number,) in rows.execute(READY_NUMBERS, {"name": name})}
    moves = _moves(rows, name, place)
    passed: list[int] = []
    for number, is_candidate in earlier_holders(moves, present):
        if number not in ready:
            continue
        if number == to or (to is None and is_candidate):
            return get_version(rows, name, number)
        passed.append(number)
    raise _refusal(name, place, to, passed)


def _refusal(
    name: str, place: Stage | Alias, to: int | None, possible: list[int]
) -> FailedPrecondition:
    held = f"in {place}" if isinstance(place, Stage) else f"@{place.name}"
    listed = ", ".join(map(str, possible[:_MAX_SHOWN])) or "none"
    if len(possible) > _MAX_SHOWN:
        listed += f" and {len(possible) - _MAX_SHOWN} more"
    if to is None:
        message = (
            f"Nothing to roll back to: no other version of {name} that was {held} still "
            "exists, is ready and was not taken out by a rollback. Versions that `to` can name: "
            f"{listed}."
        )
    else:
        message = (
            f"Version {to} of {name} cannot be rolled back to: it is no other version that was "
            f"{held}, still exists and is ready. Versions that `to` can name: {listed}."
        )
    return FailedPrecondition(message, name=name, holders=listed)


def _moves(rows: Rows, name: str, place: Stage | Alias) -> Iterator[Move]:
    """Yield what a rollback must know of a stage or an alias, newest first, under all former names.

    These are the rollbacks, and the moves of versions that exist and are ready: a model whose old
    versions are deleted may have had very many others.
    """
    if isinstance(place, Stage):
        moved, rollback = Action.STAGE_CHANGED, Action.STAGE_ROLLED_BACK
    else:
        moved, rollback = Action.ALIAS_SET, Action.ALIAS_ROLLED_BACK
    wanted = {"model": name, "moved": str(moved), "rollback": str(rollback)}
    for period in periods(rows, name):
        for event in _newest_first(rows, wanted | period.values):
            yield _move(event, place, is_rollback=event.action == rollback)


def _newest_first(rows: Rows, wanted: dict[str, Any]) -> Iterator[events.Change]:
    """Yield events by pages, so that a rollback reads only what it needs of a long history.

    Each page is twice as long as the one before, so that a whole history is few statements.
    """
    below, size = MAX_NUMBER, _EVENTS_AT_FIRST
    page = rows.execute(events.MOVES, wanted | {"below": below, "limit": size})
    while len(page) == size:
        yield from page
        below, size = page[-1].revision, size * 2
        page = rows.execute(events.MOVES, wanted | {"below": below, "limit": size})
    yield from page


def _move(event: events.Change, place: Stage | Alias, *, is_rollback: bool) -> Move:
    entered = _holder(json.loads(event.after), place)
    if not is_rollback or entered != event.version:  # a rollback of another stage or alias
        return Move(entered, left=None, is_rollback=False)
    return Move(entered, left=_holder(json.loads(event.before), place), is_rollback=True)


def _holder(patch: Document, place: Stage | Alias) -> int | None:
    """Return the number of the version that a patch puts in a stage or has an alias point at."""
    if isinstance(place, Alias):
        number: int | None = (patch.get("aliases") or {}).get(place.name)
        return number
    versions = (patch.get("versions") or {}).items()
    in_stage = (key for key, values in versions if values and values.get("stage") == place)
    return next(map(int, in_stage), None)
