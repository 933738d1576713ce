"""Finding objects that nothing refers to, and claiming them for a sweep.

A sweep deletes only objects that it has claimed: the row is `SWEEPING` until the claim ends. A
call that refers to an object holds a lease on it. Both are taken under the lock of the row, so one
of them comes first and the other sees it: a claim requires that the lease has ended, a lease that
the claim has ended. docs/adr/0016 discusses the interleavings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import Digest
from modelyard_tracking.models import ArtifactFile, ArtifactPart, DamagedObject, StoredObject
from modelyard_tracking.operations.artifacts import SWEEPING, batches
from modelyard_tracking.rules.artifacts import GRACE_MS

_UNREFERENCED = (
    ~exists().where(ArtifactFile.digest == StoredObject.digest),
    ~exists().where(ArtifactPart.digest == StoredObject.digest),
)


@dataclass(frozen=True, slots=True)
class Scan:
    """The result of scanning some objects.

    Attributes:
        unused: Sizes in bytes, by digest, of objects without a file of a tree and without a lease.
        examined: Number of objects scanned.
        last: Digest of the last object scanned; empty at the end.
    """

    unused: Mapping[Digest, int]
    examined: int
    last: str


def scan_rows(session: Session, after: str, now_ms: int, limit: int) -> Scan:
    """Scan objects that have a row, in the order of their digests.

    Args:
        session: Session open for reading.
        after: Digest to start after; empty for the first.
        now_ms: Start of the sweep, Unix time in milliseconds; leases must have ended `GRACE_MS`
            before it.
        limit: Maximum number of objects to scan.
    """
    page = (
        select(StoredObject.digest)
        .where(StoredObject.digest > after)
        .order_by(StoredObject.digest)
        .limit(limit)
    )
    examined = session.scalars(page).all()
    if not examined:
        return Scan({}, 0, "")
    unused = session.execute(
        select(StoredObject.digest, StoredObject.size_bytes).where(
            StoredObject.digest > after,
            StoredObject.digest <= examined[-1],
            StoredObject.leased_until_ms < now_ms - GRACE_MS,
            *_UNREFERENCED,
        )
    )
    return Scan(
        {Digest(row.digest): row.size_bytes for row in unused},
        len(examined),
        examined[-1] if len(examined) == limit else "",
    )


def strays(session: Session, objects: Mapping[Digest, int]) -> dict[Digest, int]:
    """Return the objects of the store that have no row and are in no tree, with their sizes."""
    known = _referenced(session, objects)
    for batch in batches(objects):
        known.update(
            session.scalars(select(StoredObject.digest).where(StoredObject.digest.in_(batch)))
        )
    return {digest: size for digest, size in objects.items() if digest not in known}


def claim(
    session: Session, digests: Collection[Digest], now_ms: int, until_ms: int
) -> list[Digest]:
    """Claim rows of objects without lease and reference.

    Args:
        session: Session of the transaction.
        digests: Digests of objects that no registered version needs.
        now_ms: Start of the sweep, Unix time in milliseconds.
        until_ms: End of the claim, Unix time in milliseconds.

    Returns:
        Digests of the claimed objects, which may be deleted until shortly before the claim ends.
    """
    claimed: list[Digest] = []
    for batch in batches(digests):
        rows = session.scalars(
            update(StoredObject)
            .where(
                StoredObject.digest.in_(batch),
                # Checked again under the lock of the row: a new reference has a new lease.
                StoredObject.leased_until_ms < now_ms - GRACE_MS,
                *_UNREFERENCED,
            )
            .values(state=SWEEPING, leased_until_ms=until_ms)
            .returning(StoredObject.digest)
            .execution_options(synchronize_session=False)
        )
        claimed += [Digest(digest) for digest in rows]
    return claimed


def claim_strays(session: Session, objects: Mapping[Digest, int], until_ms: int) -> list[Digest]:
    """Claim objects without a row by inserting one, which conflicts with a concurrent lease."""
    found = strays(session, objects)
    if found:
        session.execute(
            insert(StoredObject),
            [
                {
                    "digest": digest,
                    "size_bytes": size_bytes,
                    "state": SWEEPING,
                    "is_manifest": False,
                    "leased_until_ms": until_ms,
                }
                for digest, size_bytes in found.items()
            ],
        )
    return list(found)


def forget(session: Session, digests: Collection[Digest], until_ms: int) -> None:
    """Delete the rows of objects that were deleted under a claim."""
    for batch in batches(digests):
        session.execute(
            delete(StoredObject).where(
                StoredObject.digest.in_(batch),
                StoredObject.state == SWEEPING,
                StoredObject.leased_until_ms == until_ms,
            )
        )
        session.execute(delete(DamagedObject).where(DamagedObject.digest.in_(batch)))


def _referenced(session: Session, digests: Iterable[Digest]) -> set[str]:
    found: set[str] = set()
    for batch in batches(digests):
        for table in (ArtifactFile, ArtifactPart):
            found.update(session.scalars(select(table.digest).where(table.digest.in_(batch))))
    return found
