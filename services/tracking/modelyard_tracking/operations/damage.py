"""Marks of objects whose bytes are wrong or missing, and what has such an object."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import Row, delete, insert, select, union
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import Digest
from modelyard_tracking.models import ArtifactFile, ArtifactPart, DamagedObject, StoredObject
from modelyard_tracking.operations.artifacts import SWEEPING, batches

_MAX_FILES = 100


def page_of_objects(
    session: Session, after: str, limit: int, max_bytes: int
) -> list[tuple[Digest, int]]:
    """Return digests and sizes of known objects after a digest, in order.

    Args:
        session: Session open for reading.
        after: Digest to start after; empty for the first.
        limit: Maximum number of objects.
        max_bytes: Total size at which the page ends; the page has one object at least.
    """
    rows = session.execute(
        select(StoredObject.digest, StoredObject.size_bytes)
        .where(StoredObject.digest > after, StoredObject.state != SWEEPING)
        .order_by(StoredObject.digest)
        .limit(limit)
    )
    page: list[tuple[Digest, int]] = []
    total_bytes = 0
    for row in rows:
        page.append((Digest(row.digest), row.size_bytes))
        total_bytes += row.size_bytes
        if total_bytes >= max_bytes:
            break
    return page


def marked(session: Session, digests: Collection[Digest] | None = None) -> dict[Digest, bool]:
    """Return the marked objects, each with whether it is missing; of some digests if given."""
    rows = select(DamagedObject.digest, DamagedObject.missing)
    if digests is None:
        return {Digest(row.digest): row.missing for row in session.execute(rows)}
    found: dict[Digest, bool] = {}
    for batch in batches(digests):
        some = session.execute(rows.where(DamagedObject.digest.in_(batch)))
        found.update((Digest(row.digest), row.missing) for row in some)
    return found


def mark(
    session: Session, examined: Collection[Digest], damaged: Mapping[Digest, bool], now_ms: int
) -> None:
    """Replace the marks of examined objects.

    Args:
        session: Session of the transaction.
        examined: Digests of the objects.
        damaged: Those that are damaged, each with whether it is missing.
        now_ms: Unix time in milliseconds.
    """
    unmark(session, examined)
    if damaged:
        rows = [
            {"digest": digest, "missing": missing, "found_ms": now_ms}
            for digest, missing in damaged.items()
        ]
        session.execute(insert(DamagedObject), rows)


def unmark(session: Session, digests: Iterable[Digest]) -> None:
    """Remove the marks of objects; those without one are ignored."""
    for batch in batches(digests):
        session.execute(delete(DamagedObject).where(DamagedObject.digest.in_(batch)))


def files_with(session: Session, digest: Digest) -> Sequence[Row[str, str, str]]:
    """Return up to 100 files (owner_kind, owner_id, path) that consist of an object."""
    found = union(
        *(
            select(table.owner_kind, table.owner_id, table.path).where(table.digest == digest)
            for table in (ArtifactFile, ArtifactPart)
        )
    )
    return session.execute(found.limit(_MAX_FILES)).all()
