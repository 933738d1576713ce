"""Reading the history of models: who did what, who held a stage, what the tables held then."""

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

_MOVES = (
    Action.STAGE_CHANGED,
    Action.STAGE_ROLLED_BACK,
    Action.MODEL_RENAMED,
    Action.VERSION_IMPORTED,
)


def get_names(session: Session, name: str) -> ModelName:
    """Return what is left of a name, whether or not its model exists.

    Raises:
        NotFound: The name was never used.
    """
    found = session.get(ModelName, name)
    if found is None:
        raise NotFound(f"No Registered Model was ever named {name}", name=name)
    return found


def holders(session: Session, name: str, stage: Stage) -> Iterator[int]:
    """Yield the numbers of the versions that entered a stage, newest first, with repetitions.

    Goes on in the history of the name that the model had before.
    """
    for life in _lives(session, name):
        moves = select(Event).where(life, Event.action.in_(_MOVES))
        for event in session.scalars(moves.order_by(Event.revision.desc())):
            after = json.loads(event.after)
            for number, values in (after.get("versions") or {}).items():
                if values is not None and values.get("stage") == stage:
                    yield int(number)


def was_given(session: Session, name: str, number: int) -> bool:
    """Whether some version of a model has, or had, a number, under any name the model had."""
    giving = (Action.VERSION_CREATED, Action.VERSION_IMPORTED)
    return any(
        session.scalar(
            select(Event.clock)
            .where(life, Event.version == number, Event.action.in_(giving))
            .limit(1)
        )
        is not None
        for life in _lives(session, name)
    )


def _lives(session: Session, name: str) -> Iterator[ColumnElement[bool]]:
    """Yield what selects a model's events under its name, then under the one it had before, …."""
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
    """Return what the tables held about a name at a time; empty before its first event."""
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
    """Return the number of the version that a stage or an alias meant at a time.

    Raises:
        NotFound: Nothing held it then.
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
        if _was_elsewhere(session, name, at_ms):
            raise NotFound(
                f"Which version of Registered Model {name} was {shown} at that time is not known: "
                "versions of it were in another registry then, and history begins with their "
                "import",
                name=name,
            )
        raise NotFound(f"No version of Registered Model {name} was {shown} at that time", name=name)
    return max(map(int, found))


def _was_elsewhere(session: Session, name: str, at_ms: int) -> bool:
    """Whether a version was made before a time and imported after it."""
    for life in _lives(session, name):
        later = select(Event).where(
            life, Event.action == Action.VERSION_IMPORTED, Event.at_ms > at_ms
        )
        for event in session.scalars(later):
            number = str(event.version)
            came = json.loads(event.before).get("versions", {}).get(number, {}) is None
            if came and json.loads(event.after)["versions"][number]["created_ms"] <= at_ms:
                return True
    return False
