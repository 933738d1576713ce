"""The earlier holders of a stage or an alias, computed from the history of a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import Alias
from modelyard_registry.models import READY, DamagedManifest, Event, ModelVersion
from modelyard_registry.operations.former_names import periods
from modelyard_registry.operations.model_versions import get_version
from modelyard_registry.rules.history import Action, Document
from modelyard_registry.rules.rollback import Move, earlier_holders

_STAGE_MOVES = (Action.STAGE_CHANGED, Action.VERSION_IMPORTED)
_ALIAS_MOVES = (Action.ALIAS_SET, Action.VERSION_IMPORTED)
_EVENTS_AT_FIRST = 200
_MAX_SHOWN = 10


class _Event(NamedTuple):
    """The columns of an event that a rollback reads."""

    revision: int
    action: str
    version: int | None
    before: str
    after: str


def reinstated(
    session: Session, name: str, place: Stage | Alias, present: int | None, to: int | None
) -> ModelVersion:
    """Return the version that a rollback makes the holder of a stage or the target of an alias.

    Args:
        session: Transaction of the rollback.
        name: Name of the model, locked.
        place: An exclusive stage, or an alias.
        present: Number of the present holder; None if there is none.
        to: Number of the version to reinstate; None for the newest candidate.

    Raises:
        FailedPrecondition: There is no candidate, or `to` is none of the earlier holders that still
            exist and are ready; the message lists those.
    """
    of_model = select(ModelVersion.version).where(
        ModelVersion.name == name,
        ModelVersion.status == READY,
        ~exists().where(DamagedManifest.digest == ModelVersion.digest),
    )
    ready = set(session.scalars(of_model))
    moves = _moves(session, name, place, Event.version.in_(of_model))
    passed: list[int] = []
    for number, is_candidate in earlier_holders(moves, present):
        if number not in ready:
            continue
        if number == to or (to is None and is_candidate):
            return get_version(session, name, number)
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


def _moves(
    session: Session, name: str, place: Stage | Alias, of_ready: ColumnElement[bool]
) -> Iterator[Move]:
    """Yield what a rollback must know of a stage or an alias, newest first, under all former names.

    These are the rollbacks, and the moves of versions that exist and are ready: a model whose old
    versions are deleted may have had very many others.
    """
    if isinstance(place, Stage):
        moves, rollback = _STAGE_MOVES, Action.STAGE_ROLLED_BACK
    else:
        moves, rollback = _ALIAS_MOVES, Action.ALIAS_ROLLED_BACK
    wanted = (Event.action == rollback) | (Event.action.in_(moves) & of_ready)
    for period in periods(session, name):
        for event in _newest_first(session, period.has_event & wanted):
            yield _move(event, place, is_rollback=event.action == rollback)


def _newest_first(session: Session, wanted: ColumnElement[bool]) -> Iterator[_Event]:
    """Yield events by pages, so that a rollback reads only what it needs of a long history.

    Each page is twice as long as the one before, so that a whole history is few statements.
    """
    columns = (Event.revision, Event.action, Event.version, Event.before, Event.after)
    page = select(*columns).where(wanted).order_by(Event.revision.desc())
    size = _EVENTS_AT_FIRST
    rows = [_Event(*row) for row in session.execute(page.limit(size))]
    while len(rows) == size:
        yield from rows
        size *= 2
        older = page.where(Event.revision < rows[-1].revision).limit(size)
        rows = [_Event(*row) for row in session.execute(older)]
    yield from rows


def _move(event: _Event, place: Stage | Alias, *, is_rollback: bool) -> Move:
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
