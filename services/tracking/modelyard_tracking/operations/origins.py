"""What came from another server, and which id it has here."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from modelyard_kit.db.base import EXCLUSIVE
from modelyard_tracking.models import Imported


class Kind(StrEnum):
    EXPERIMENT = "experiment"
    RUN = "run"
    MODEL = "model"


def claim(session: Session, origin: str, kind: Kind, origin_id: str) -> Imported:
    """Return what an earlier import noted, or a new note without an id here.

    It is locked: one import of one thing at a time.
    """
    key = (origin, kind, origin_id)
    found = session.get(Imported, key, with_for_update=EXCLUSIVE)
    if found is None:
        found = Imported(origin=origin, kind=kind, origin_id=origin_id, id_here="")
        session.add(found)
        session.flush()
    return found
