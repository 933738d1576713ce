"""Ids of imported resources, from the id at the origin to the id here, and ids of purged ones."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from modelyard_kit.db.base import EXCLUSIVE
from modelyard_kit.errors import FailedPrecondition
from modelyard_tracking.models import Imported, Purged


class Kind(StrEnum):
    EXPERIMENT = "experiment"
    RUN = "run"
    MODEL = "model"


def register_origin(session: Session, origin: str, kind: Kind, origin_id: str) -> Imported:
    """Return the row of an imported resource, new if this is its first import.

    A new row has an empty `id_here`, which the caller sets. The row is locked, so that imports of
    one resource run one at a time.

    Raises:
        FailedPrecondition: The resource was purged here.
    """
    key = (origin, kind, origin_id)
    imported = session.get(Imported, key, with_for_update=EXCLUSIVE)
    if imported is None:
        imported = Imported(origin=origin, kind=kind, origin_id=origin_id, id_here="")
        session.add(imported)
        session.flush()
    # The ids of experiments are small numbers: another server's experiment 7 is another one.
    unique = origin_id if kind is not Kind.EXPERIMENT else ""
    if is_purged(session, kind, imported.id_here or unique):
        raise purged_here(kind, origin_id)
    return imported


def is_purged(session: Session, kind: Kind, resource_id: str) -> bool:
    """Whether an id belonged to a resource that was purged."""
    return session.get(Purged, (kind, resource_id)) is not None


def purged_here(kind: Kind, origin_id: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"The {kind} '{origin_id}' was purged here, so it is not imported again.",
        origin_id=origin_id,
    )
