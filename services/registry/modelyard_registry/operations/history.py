"""Queries of the history of models: documents, stages and aliases at a past time."""

from __future__ import annotations

import json

from sqlalchemy.orm import Session

from modelyard_kit.db.rows import Rows
from modelyard_kit.errors import NotFound
from modelyard_kit.references.names import LATEST
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import Alias
from modelyard_registry.models import ModelName
from modelyard_registry.operations.former_names import periods
from modelyard_registry.rules.history import Document, apply
from modelyard_registry.statements.events import IMPORTED_AFTER, PATCHES


def get_names(session: Session, name: str) -> ModelName:
    """Return the row of a name, whether or not its model still exists.

    Raises:
        NotFound: The name was never used.
    """
    found = session.get(ModelName, name)
    if found is None:
        raise NotFound(f"No Registered Model was ever named {name}", name=name)
    return found


def document_at(rows: Rows, name: str, at_ms: int) -> Document:
    """Return the document of a name at a past time; empty before its first event."""
    document: Document = {}
    for (after,) in rows.execute(PATCHES, {"name": name, "at_ms": at_ms}):
        document = apply(document, json.loads(after))
    return document


def version_at(rows: Rows, name: str, reference: Stage | Alias, at_ms: int) -> int:
    """Return the number of the version that was in a stage or had an alias at a past time.

    Raises:
        NotFound: No version did, or the history does not go back that far.
    """
    document = document_at(rows, name, at_ms)
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
        if _imported_after(rows, name, at_ms):
            raise NotFound(
                f"The version of Registered Model {name} that was {shown} at that time is unknown: "
                "the model has versions that were in another registry then, and their history "
                "begins with their import",
                name=name,
            )
        raise NotFound(f"No version of Registered Model {name} was {shown} at that time", name=name)
    return max(map(int, found))


def _imported_after(rows: Rows, name: str, at_ms: int) -> bool:
    """Return whether a version was created before a time and imported after it."""
    for period in periods(rows, name):
        for event in rows.execute(IMPORTED_AFTER, period.values | {"at_ms": at_ms}):
            number = str(event.version)
            was_new = json.loads(event.before).get("versions", {}).get(number, {}) is None
            if was_new and json.loads(event.after)["versions"][number]["created_ms"] <= at_ms:
                return True
    return False
