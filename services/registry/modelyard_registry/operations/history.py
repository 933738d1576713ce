"""Queries of the history of models: documents, stages and aliases at a past time."""

from __future__ import annotations

import json

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard_kit.errors import NotFound
from modelyard_kit.references.names import LATEST
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import Alias
from modelyard_registry.models import Event, ModelName
from modelyard_registry.operations.former_names import periods
from modelyard_registry.rules.history import Action, Document, apply


def get_names(session: Session, name: str) -> ModelName:
    """Return the row of a name, whether or not its model still exists.

    Raises:
        NotFound: The name was never used.
    """
    found = session.get(ModelName, name)
    if found is None:
        raise NotFound(f"No Registered Model was ever named {name}", name=name)
    return found


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
    for period in periods(session, name):
        later = select(Event).where(
            period.has_event, Event.action == Action.VERSION_IMPORTED, Event.at_ms > at_ms
        )
        for event in session.scalars(later):
            number = str(event.version)
            was_new = json.loads(event.before).get("versions", {}).get(number, {}) is None
            if was_new and json.loads(event.after)["versions"][number]["created_ms"] <= at_ms:
                return True
    return False
