"""What came from another server, and which id it has here."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from modelyard_tracking.models import Imported


class Kind(StrEnum):
    EXPERIMENT = "experiment"
    RUN = "run"
    MODEL = "model"


def id_here(session: Session, origin: str, kind: Kind, origin_id: str) -> str | None:
    """Return the id that something was given by an earlier import, or None."""
    found = session.get(Imported, (origin, kind, origin_id))
    return None if found is None else found.id_here


def remember(session: Session, origin: str, kind: Kind, origin_id: str, id_here: str) -> None:
    session.merge(Imported(origin=origin, kind=kind, origin_id=origin_id, id_here=id_here))
