"""Ids of imported resources: from the id at the origin to the id here."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from modelyard_kit.db.base import EXCLUSIVE
from modelyard_tracking.models import Imported


class Kind(StrEnum):
    EXPERIMENT = "experiment"
    RUN = "run"
    MODEL = "model"


def register_origin(session: Session, origin: str, kind: Kind, origin_id: str) -> Imported:
    """Return the row of an imported resource, new if this is its first import.

    A new row has an empty `id_here`, which the caller sets. The row is locked, so that imports of
    one resource run one at a time.
    """
    key = (origin, kind, origin_id)
    imported = session.get(Imported, key, with_for_update=EXCLUSIVE)
    if imported is None:
        imported = Imported(origin=origin, kind=kind, origin_id=origin_id, id_here="")
        session.add(imported)
        session.flush()
    return imported
