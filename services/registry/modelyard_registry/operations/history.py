"""Queries of the history of models: earlier holders of a stage, and documents at a past time."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from modelyard_kit.errors import NotFound
from modelyard_kit.references.names import LATEST, MAX_NUMBER
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import Alias
from modelyard_registry.models import Event, ModelName
from modelyard_registry.rules.history import Action, Document, apply

_STAGE_ACTIONS = (
    Action.STAGE_CHANGED,
    Action.STAGE_ROLLED_BACK,
    Action.MODEL_RENAMED,
    Action.VERSION_IMPORTED,
)


def get_names(session: Session, name: str) -> ModelName:
    """Return the row of a name, whether or not its model still exists.

    Raises:
        NotFound: The name was never used.
    """
    found = session.get(ModelName, name)
    if found is None:
        raise NotFound(f"No Registered Model was ever named {name}", name=name)
    return found


def holders(session: Session, name: str, stage: Stage) -> Iterator[int]:
    """Yield the numbers of the versions that entered a stage, newest first, with repetitions.

    After the history of the current name come those of the model's former names.
    """
    for period in _name_periods(session, name):
        moves = select(Event).where(period, Event.action.in_(_STAGE_ACTIONS))
        for event in session.scalars(moves.order_by(Event.revision.desc())):
            after = json.loads(event.after)
            for number, values in (after.get("versions") or {}).items():
                if values is not None and values.get("stage") == stage:
                    yield int(number)


def number_was_used(session: Session, name: str, number: int) -> bool:
    """Return whether a version of a model ever had a number, under any name of the model."""
    giving = (Action.VERSION_CREATED, Action.VERSION_IMPORTED)
    return any(
        session.scalar(
            select(Event.clock)
            .where(period, Event.version == number, Event.action.in_(giving))
            .limit(1)
        )
        is not None
        for period in _name_periods(session, name)
    )


def _name_periods(session: Session, name: str) -> Iterator[ColumnElement[bool]]:
    """Yield a condition on `Event` for each name the model has had, the current name first."""
    end_clock = MAX_NUMBER
    former: str | None = name
    while former is not None:
        mine = and_(Event.name == former, Event.clock < end_clock)
        renames = select(Event).where(mine, Event.action == Action.MODEL_RENAMED)
        former, start_clock = None, 0
        for event in session.scalars(renames.order_by(Event.revision.desc())):
            renamed_from = json.loads(event.after).get("renamed_from")
            if renamed_from:
                former, start_clock = renamed_from, event.clock
                break
        yield and_(mine, Event.clock >= start_clock)
        end_clock = start_clock


def document_at(session: Session, name: str, at_ms: int) -> Document:
    """Return the document of a name at a past time; empty before its first event."""
    newest = select(func.max(Event.revision)).where(Event.name == name, Event.at_ms <= at_ms)
    patches = (
        select(Event.after)
        .where(Event.name == name, Event.revision <= newest.scalar_subquery())
        .order_by(Event.revision)
    )
    document: Document = {}
    for after in session.scalars(patches):
        document = apply(document, json.loads(after))
    return document


def version_at(session: Session, name: str, reference: Stage | Alias, at_ms: int) -> int:
    """Return the number of the version that was in a stage or had an alias at a past time.

    Raises:
        NotFound: No version did, or the history does not go back that far.
    """
    document = document_at(session, name, at_ms)
    versions, aliases = document.get("versions", {}), document.get("aliases", {})
    match reference:
        case Stage():
            found = [number for number in versions if versions[number]["stage"] == reference]
        case Alias(alias) if alias == LATEST:
            found = list(versions)
        case Alias(alias):
            found = [aliases[alias]] if alias in aliases else []
    if not found:
        shown = reference if isinstance(reference, Stage) else f"@{reference.name}"
        if _imported_after(session, name, at_ms):
            raise NotFound(
                f"The version of Registered Model {name} that was {shown} at that time is unknown: "
                "the model has versions that were in another registry then, and their history "
                "begins with their import",
                name=name,
            )
        raise NotFound(f"No version of Registered Model {name} was {shown} at that time", name=name)
    return max(map(int, found))


def _imported_after(session: Session, name: str, at_ms: int) -> bool:
    """Return whether a version was created before a time and imported after it."""
    for period in _name_periods(session, name):
        later = select(Event).where(
            period, Event.action == Action.VERSION_IMPORTED, Event.at_ms > at_ms
        )
        for event in session.scalars(later):
            number = str(event.version)
            was_new = json.loads(event.before).get("versions", {}).get(number, {}) is None
            if was_new and json.loads(event.after)["versions"][number]["created_ms"] <= at_ms:
                return True
    return False
