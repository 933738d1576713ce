"""Writing trees: leases of objects, files that are put in place, manifests that are sealed.

The bytes themselves are in the store, which the servicer asks before it opens a transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from sqlalchemy import ColumnElement, and_, case, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import Digest, ManifestFile
from modelyard_kit.db.base import EXCLUSIVE, LATER
from modelyard_kit.errors import Unavailable
from modelyard_tracking.models import ArtifactFile, ArtifactPart, StoredObject
from modelyard_tracking.operations.experiments import get_active_experiment
from modelyard_tracking.operations.logged_models import get_logged_model
from modelyard_tracking.operations.runs import get_active_run
from modelyard_tracking.operations.trees import at_or_below
from modelyard_tracking.rules.artifacts import (
    LEASE_MS,
    Owner,
    OwnerKind,
    ancestors,
    file_and_folder,
)

_KEYS_A_STATEMENT = 5_000  # databases bind some ten thousand values at most
_RANGES_A_STATEMENT = 100
_SWEPT_WITHIN_S = 5.0
DECLARED, STORED, SWEEPING = "declared", "stored", "sweeping"


def require_writable(session: Session, owner: Owner) -> None:
    """Refuse a run or model whose tree may not be written to.

    Raises:
        NotFound: There is no such owner.
        FailedPrecondition: It, its run or its experiment is deleted.
    """
    if owner.kind is OwnerKind.RUN:
        get_active_run(session, owner.owner_id)
        return
    model = get_logged_model(session, owner.owner_id)
    get_active_experiment(session, str(model.experiment_id))
    if model.source_run_id is not None:
        get_active_run(session, model.source_run_id)


def lease_objects(
    session: Session,
    objects: Mapping[Digest, int],
    now_ms: int,
    *,
    state: str,
    is_manifest: bool = False,
) -> int:
    """Keep objects for the next hour, whether or not anything refers to them.

    Whoever looks at the store after that finds what will be there until the lease ends.

    Args:
        session: The transaction.
        objects: Sizes in bytes by digest.
        now_ms: Unix time, milliseconds.
        state: `STORED` for objects whose bytes are known to be right; `DECLARED` to leave those
            that are known so.
        is_manifest: Whether the object is a sealed manifest.

    Returns:
        When the lease ends: Unix time, milliseconds.

    Raises:
        Unavailable: One of them is being removed by a sweep.
    """
    until_ms = now_ms + LEASE_MS
    present = _prolong(session, objects, now_ms, until_ms, state)
    absent = sorted(objects.keys() - present)  # in order, as they are locked
    _refuse_swept(session, absent)
    if absent:
        session.execute(
            insert(StoredObject),
            [
                {
                    "digest": digest,
                    "size_bytes": objects[digest],
                    "state": state,
                    "is_manifest": is_manifest,
                    "leased_until_ms": until_ms,
                }
                for digest in absent
            ],
        )
    return until_ms


def expect_objects(session: Session, digests: Iterable[Digest]) -> None:
    """Have objects taken for stored no more, since they have to be uploaded again."""
    for some in batches(digests):
        session.execute(
            update(StoredObject)
            .where(StoredObject.digest.in_(some), StoredObject.state == STORED)
            .values(state=DECLARED)
            .execution_options(synchronize_session=False)
        )


def _prolong(
    session: Session, digests: Iterable[Digest], now_ms: int, until_ms: int, state: str
) -> set[str]:
    """Lease those objects that have a row and are not being swept; return them."""
    # What an unfinished sweep has claimed may be gone already.
    declared = case((StoredObject.state == SWEEPING, DECLARED), else_=StoredObject.state)
    prolonged: set[str] = set()
    for some in batches(digests):
        free = select(StoredObject.digest).where(
            StoredObject.digest.in_(some),
            or_(StoredObject.state != SWEEPING, StoredObject.leased_until_ms < now_ms),
        )
        # In order, so that nobody who leases the same waits for the other.
        locked = free.order_by(StoredObject.digest).with_for_update(**EXCLUSIVE)
        prolonged.update(
            session.scalars(
                update(StoredObject)
                .where(StoredObject.digest.in_(locked))
                .values(leased_until_ms=until_ms, state=declared if state == DECLARED else STORED)
                .returning(StoredObject.digest)
                .execution_options(synchronize_session=False)
            )
        )
    return prolonged


def _refuse_swept(session: Session, digests: Iterable[Digest]) -> None:
    for some in batches(digests):
        swept = session.scalar(
            select(StoredObject.digest)
            .where(StoredObject.digest.in_(some), StoredObject.state == SWEEPING)
            .limit(1)
        )
        if swept is not None:
            raise Unavailable(
                f"The object {swept} is being removed, because nothing referred to it any more; "
                "nothing was written. Declare it again in a moment.",
                digest=swept,
            ).after(_SWEPT_WITHIN_S)


def batches(digests: Iterable[Digest]) -> Iterator[list[Digest]]:
    """Yield digests in lists that fit one statement."""
    left = iter(digests)
    while some := list(islice(left, _KEYS_A_STATEMENT)):
        yield some


def known_objects(session: Session, digests: Iterable[Digest]) -> dict[Digest, StoredObject]:
    """Return the rows of those objects that were declared or stored and are not being swept."""
    known: dict[Digest, StoredObject] = {}
    for some in batches(digests):
        rows = select(StoredObject).where(
            StoredObject.digest.in_(some), StoredObject.state != SWEEPING
        )
        known.update((Digest(row.digest), row) for row in session.scalars(rows))
    return known


def commit_files(session: Session, owner: Owner, files: Sequence[ManifestFile]) -> None:
    """Put checked files into a tree, replacing those of the same path.

    Args:
        session: The transaction.
        owner: Writable.
        files: Their objects are in the store.

    Raises:
        InvalidArgument: A path is a folder of the tree, or is below one of its files.
    """
    _lock_tree(session, owner)
    paths = [file.path for file in files]
    _refuse_files_above(session, owner, paths)
    replaced = set(
        session.scalars(select(ArtifactFile.path).where(*_of(owner), ArtifactFile.path.in_(paths)))
    )
    _refuse_folders(session, owner, [path for path in paths if path not in replaced])
    _remove(session, owner, replaced)
    _add(session, owner, files)


def delete_files(session: Session, owner: Owner, path: str) -> bool:
    """Take the files at or below a path out of a tree, all of them if it is empty.

    Args:
        session: The transaction.
        owner: Writable.
        path: A file or a folder.

    Returns:
        Whether there were any. Those of a logged model that a run's tree shows are not the run's.
    """
    _lock_tree(session, owner)
    gone = session.scalars(
        delete(ArtifactFile).where(*_of(owner), at_or_below(path)).returning(ArtifactFile.path)
    ).all()
    for start in range(0, len(gone), _KEYS_A_STATEMENT):
        _remove(session, owner, gone[start : start + _KEYS_A_STATEMENT])
    return bool(gone)


def _lock_tree(session: Session, owner: Owner) -> None:
    # That no path is a file and also a folder is no constraint of the table: one writer of a tree.
    if owner.kind is OwnerKind.RUN:
        get_active_run(session, owner.owner_id, EXCLUSIVE)
    else:
        get_logged_model(session, owner.owner_id, EXCLUSIVE)


def _remove(session: Session, owner: Owner, paths: Collection[str]) -> None:
    for table in (ArtifactPart, ArtifactFile):
        gone = delete(table).where(
            table.owner_kind == owner.kind,
            table.owner_id == owner.owner_id,
            table.path.in_(paths),
        )
        session.execute(gone.execution_options(synchronize_session=False, **LATER))


def _add(session: Session, owner: Owner, files: Sequence[ManifestFile]) -> None:
    key = {"owner_kind": owner.kind, "owner_id": owner.owner_id}
    session.execute(
        insert(ArtifactFile),
        [
            {**key, "path": file.path, "size_bytes": file.size_bytes, "digest": file.digest}
            for file in files
        ],
    )
    parts = [
        {
            **key,
            "path": file.path,
            "position": position,
            "digest": part.digest,
            "size_bytes": part.size_bytes,
        }
        for file in files
        for position, part in enumerate(file.parts)
    ]
    if parts:
        session.execute(insert(ArtifactPart), parts)


def _refuse_files_above(session: Session, owner: Owner, paths: Sequence[str]) -> None:
    folders = sorted({folder for path in paths for folder in ancestors(path)})
    for start in range(0, len(folders), _KEYS_A_STATEMENT):
        some = folders[start : start + _KEYS_A_STATEMENT]
        clash = session.scalar(
            select(ArtifactFile.path).where(*_of(owner), ArtifactFile.path.in_(some)).limit(1)
        )
        if clash is not None:
            raise file_and_folder(clash)


def _refuse_folders(session: Session, owner: Owner, paths: Sequence[str]) -> None:
    for start in range(0, len(paths), _RANGES_A_STATEMENT):
        # "0" is the character after "/".
        inside = (
            and_(ArtifactFile.path > f"{path}/", ArtifactFile.path < f"{path}0")
            for path in paths[start : start + _RANGES_A_STATEMENT]
        )
        found = session.scalar(select(ArtifactFile.path).where(*_of(owner), or_(*inside)).limit(1))
        if found is not None:
            raise file_and_folder(next(path for path in ancestors(found) if path in set(paths)))


def _of(owner: Owner) -> tuple[ColumnElement[bool], ...]:
    return (ArtifactFile.owner_kind == owner.kind, ArtifactFile.owner_id == owner.owner_id)
