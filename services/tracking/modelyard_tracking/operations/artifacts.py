"""Writing artifact trees: leasing objects, committing files and deleting them.

The bytes themselves are in the store, which the servicer queries before it opens a transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from sqlalchemy import ColumnElement, and_, case, delete, insert, or_, select, update
from sqlalchemy.orm import Session, joinedload

from modelyard_kit.artifacts import Digest, ManifestFile
from modelyard_kit.db.base import EXCLUSIVE, LATER
from modelyard_kit.errors import Unavailable
from modelyard_tracking.models import ArtifactFile, ArtifactPart, StoredObject
from modelyard_tracking.operations.experiments import get_active_experiment
from modelyard_tracking.operations.logged_models import get_logged_model
from modelyard_tracking.operations.missing import forget_missing, found_at
from modelyard_tracking.operations.paths import at_or_below
from modelyard_tracking.operations.runs import get_active_run, note_life
from modelyard_tracking.rules.artifacts import (
    LEASE_MS,
    Owner,
    OwnerKind,
    ancestors,
    file_and_folder,
)

_KEYS_PER_STATEMENT = 5_000  # databases bind at most some ten thousand values
_RANGES_PER_STATEMENT = 100
_SWEPT_WITHIN_S = 5.0
DECLARED, STORED, SWEEPING = "declared", "stored", "sweeping"


def require_writable(session: Session, owner: Owner) -> None:
    """Refuse an owner whose tree may not be written to.

    Raises:
        NotFound: There is no such run or logged model.
        FailedPrecondition: The owner, its run or its experiment is deleted.
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
    """Lease objects for an hour, during which no sweep removes them.

    Objects that are found in the store after this call remain there until the lease ends.

    Args:
        session: Session of the transaction.
        objects: Sizes in bytes by digest.
        now_ms: Unix time in milliseconds.
        state: `STORED` for objects with verified bytes; `DECLARED` for others, which leaves objects
            that are already `STORED` as they are.
        is_manifest: Whether the objects are sealed manifests.

    Returns:
        End of the lease, Unix time in milliseconds.

    Raises:
        Unavailable: A sweep is removing one of the objects.
    """
    until_ms = now_ms + LEASE_MS
    present = _prolong(session, objects, now_ms, until_ms, state)
    absent = sorted(objects.keys() - present)  # in the order of the locks
    _refuse_sweeping(session, absent)
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


def reset_to_declared(session: Session, digests: Iterable[Digest]) -> None:
    """Set stored objects back to declared, because they must be uploaded again."""
    for batch in batches(digests):
        session.execute(
            update(StoredObject)
            .where(StoredObject.digest.in_(batch), StoredObject.state == STORED)
            .values(state=DECLARED)
            .execution_options(synchronize_session=False)
        )


def _prolong(
    session: Session, digests: Iterable[Digest], now_ms: int, until_ms: int, state: str
) -> set[str]:
    """Lease the objects that have a row and are not being swept, and return their digests."""
    # An unfinished sweep may have deleted the objects that it claimed.
    declared = case((StoredObject.state == SWEEPING, DECLARED), else_=StoredObject.state)
    prolonged: set[str] = set()
    for batch in batches(digests):
        free = select(StoredObject.digest).where(
            StoredObject.digest.in_(batch),
            or_(StoredObject.state != SWEEPING, StoredObject.leased_until_ms < now_ms),
        )
        # Locked in a fixed order, so that concurrent leases cannot deadlock.
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


def _refuse_sweeping(session: Session, digests: Iterable[Digest]) -> None:
    for batch in batches(digests):
        swept = session.scalar(
            select(StoredObject.digest)
            .where(StoredObject.digest.in_(batch), StoredObject.state == SWEEPING)
            .limit(1)
        )
        if swept is not None:
            raise Unavailable(
                f"The object {swept} is being removed by a sweep, because nothing referred to it; "
                "nothing was written. Retry in a few seconds.",
                digest=swept,
            ).after(_SWEPT_WITHIN_S)


def batches(digests: Iterable[Digest]) -> Iterator[list[Digest]]:
    """Yield digests in lists that fit into one statement."""
    left = iter(digests)
    while batch := list(islice(left, _KEYS_PER_STATEMENT)):
        yield batch


def known_objects(session: Session, digests: Iterable[Digest]) -> dict[Digest, StoredObject]:
    """Return the rows of objects that are declared or stored, with their marks, by digest."""
    known: dict[Digest, StoredObject] = {}
    for batch in batches(digests):
        rows = (
            select(StoredObject)
            .where(StoredObject.digest.in_(batch), StoredObject.state != SWEEPING)
            .options(joinedload(StoredObject.damaged))
        )
        known.update((Digest(row.digest), row) for row in session.scalars(rows))
    return known


def commit_files(
    session: Session, owner: Owner, files: Sequence[ManifestFile], now_ms: int
) -> None:
    """Put checked files into a tree, replacing files with the same paths.

    Args:
        session: Session of the transaction.
        owner: Owner of the tree, which must be writable.
        files: Files whose objects are in the store.
        now_ms: Unix time in milliseconds.

    Raises:
        InvalidArgument: A path is a folder of the tree, or lies below one of its files.
    """
    _lock_tree(session, owner, now_ms)
    paths = [file.path for file in files]
    _refuse_files_above(session, owner, paths)
    replaced = set(
        session.scalars(select(ArtifactFile.path).where(*_of(owner), ArtifactFile.path.in_(paths)))
    )
    _refuse_folders(session, owner, [path for path in paths if path not in replaced])
    _remove(session, owner, replaced)
    _add(session, owner, files)
    found_at(session, owner, paths)


def delete_files(session: Session, owner: Owner, path: str, now_ms: int) -> bool:
    """Remove the files at or below a path from a tree.

    Args:
        session: Session of the transaction.
        owner: Owner of the tree, which must be writable.
        path: Path of a file or folder; empty for the whole tree.
        now_ms: Unix time in milliseconds.

    Returns:
        Whether the tree had such files, or lacked them since an import. Files of logged models that
        a run's tree includes do not count.
    """
    _lock_tree(session, owner, now_ms)
    below = at_or_below(ArtifactFile.path, path)
    paths = session.scalars(select(ArtifactFile.path).where(*_of(owner), below)).all()
    remove_files(session, owner, paths)
    return bool(forget_missing(session, owner, path) or paths)


def remove_files(session: Session, owner: Owner, paths: Sequence[str]) -> None:
    """Remove files from a tree, which the caller has locked."""
    for start in range(0, len(paths), _KEYS_PER_STATEMENT):
        _remove(session, owner, paths[start : start + _KEYS_PER_STATEMENT])


def _lock_tree(session: Session, owner: Owner, now_ms: int) -> None:
    # No table constraint prevents a path from being both file and folder, so writers take turns.
    if owner.kind is OwnerKind.RUN:
        note_life(get_active_run(session, owner.owner_id, EXCLUSIVE), now_ms)
    else:
        get_logged_model(session, owner.owner_id, EXCLUSIVE)


def _remove(session: Session, owner: Owner, paths: Collection[str]) -> None:
    for table in (ArtifactPart, ArtifactFile):
        removed = delete(table).where(
            table.owner_kind == owner.kind,
            table.owner_id == owner.owner_id,
            table.path.in_(paths),
        )
        session.execute(removed.execution_options(synchronize_session=False, **LATER))


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
    for start in range(0, len(folders), _KEYS_PER_STATEMENT):
        batch = folders[start : start + _KEYS_PER_STATEMENT]
        clash = session.scalar(
            select(ArtifactFile.path).where(*_of(owner), ArtifactFile.path.in_(batch)).limit(1)
        )
        if clash is not None:
            raise file_and_folder(clash)


def _refuse_folders(session: Session, owner: Owner, paths: Sequence[str]) -> None:
    for start in range(0, len(paths), _RANGES_PER_STATEMENT):
        # "0" is the character after "/".
        inside = (
            and_(ArtifactFile.path > f"{path}/", ArtifactFile.path < f"{path}0")
            for path in paths[start : start + _RANGES_PER_STATEMENT]
        )
        found = session.scalar(select(ArtifactFile.path).where(*_of(owner), or_(*inside)).limit(1))
        if found is not None:
            raise file_and_folder(next(path for path in ancestors(found) if path in set(paths)))


def _of(owner: Owner) -> tuple[ColumnElement[bool], ...]:
    return (ArtifactFile.owner_kind == owner.kind, ArtifactFile.owner_id == owner.owner_id)
