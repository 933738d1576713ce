"""Finding objects that nothing refers to, and claiming them for a sweep.

Who deletes an object holds a claim on it: its row is `SWEEPING` until a time. Who refers to an
object holds a lease on it. Both are taken under the lock of the row, so one of them is first, and
the other sees it: a claim is taken only of a row whose lease is over, a lease only of one whose
claim is over. docs/adr/0016 goes through the interleavings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, exists, insert, select, update
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import Digest
from modelyard_tracking.models import ArtifactFile, ArtifactPart, StoredObject
from modelyard_tracking.operations.artifacts import SWEEPING, batches
from modelyard_tracking.rules.artifacts import GRACE_MS

_UNREFERENCED = (
    ~exists().where(ArtifactFile.digest == StoredObject.digest),
    ~exists().where(ArtifactPart.digest == StoredObject.digest),
)


@dataclass(frozen=True, slots=True)
class Looked:
    """Some objects that were looked at.

    Attributes:
        unused: Sizes in bytes, by digest, of those that no file of a tree consists of and nobody
            leases.
        examined: How many were looked at.
        last: The digest of the last of them; empty when there are no more.
    """

    unused: Mapping[Digest, int]
    examined: int
    last: str


def look_at_rows(session: Session, after: str, now_ms: int, limit: int) -> Looked:
    """Look at objects that tracking knows of, in the order of their digests.

    Args:
        session: Open for reading.
        after: Where to begin: after this digest.
        now_ms: When the sweep began; leases must have been over for a while then.
        limit: How many to look at.
    """
    page = (
        select(StoredObject.digest)
        .where(StoredObject.digest > after)
        .order_by(StoredObject.digest)
        .limit(limit)
    )
    examined = session.scalars(page).all()
    if not examined:
        return Looked({}, 0, "")
    unused = session.execute(
        select(StoredObject.digest, StoredObject.size_bytes).where(
            StoredObject.digest > after,
            StoredObject.digest <= examined[-1],
            StoredObject.leased_until_ms < now_ms - GRACE_MS,
            *_UNREFERENCED,
        )
    )
    return Looked(
        {Digest(row.digest): row.size_bytes for row in unused},
        len(examined),
        examined[-1] if len(examined) == limit else "",
    )


def strays(session: Session, objects: Mapping[Digest, int]) -> dict[Digest, int]:
    """Return those of some objects of the store that nothing here knows of, with their sizes."""
    known = _referenced(session, objects)
    for some in batches(objects):
        known.update(
            session.scalars(select(StoredObject.digest).where(StoredObject.digest.in_(some)))
        )
    return {digest: size for digest, size in objects.items() if digest not in known}


def claim(
    session: Session, digests: Collection[Digest], now_ms: int, until_ms: int
) -> list[Digest]:
    """Claim rows that nobody leases or refers to.

    Args:
        session: The transaction.
        digests: Of objects that no registered version needs.
        now_ms: When the sweep began.
        until_ms: When the claim ends.

    Returns:
        Those that were claimed: they may be deleted until shortly before the claim ends.
    """
    claimed: list[Digest] = []
    for some in batches(digests):
        rows = session.scalars(
            update(StoredObject)
            .where(
                StoredObject.digest.in_(some),
                # Looked at again under the lock of the row: whoever refers to it leased it.
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
    """Claim objects without a row by giving each one; who leases one at the same time collides."""
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
    for some in batches(digests):
        session.execute(
            delete(StoredObject).where(
                StoredObject.digest.in_(some),
                StoredObject.state == SWEEPING,
                StoredObject.leased_until_ms == until_ms,
            )
        )


def _referenced(session: Session, digests: Iterable[Digest]) -> set[str]:
    found: set[str] = set()
    for some in batches(digests):
        for table in (ArtifactFile, ArtifactPart):
            found.update(session.scalars(select(table.digest).where(table.digest.in_(some))))
    return found
