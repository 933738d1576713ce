"""Writing trees: leases of objects, files that are put in place, manifests that are sealed.

The bytes themselves are in the store, which the servicer asks before it opens a transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import Digest, ManifestFile
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
DECLARED, STORED = "declared", "stored"


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

    Args:
        session: The transaction.
        objects: Sizes in bytes by digest.
        now_ms: Unix time, milliseconds.
        state: `DECLARED`, or `STORED` for objects that are in the store.
        is_manifest: Whether the object is a sealed manifest.

    Returns:
        When the lease ends: Unix time, milliseconds.
    """
    until_ms = now_ms + LEASE_MS
    digests = list(objects)
    present: set[str] = set()
    for start in range(0, len(digests), _KEYS_A_STATEMENT):
        some = digests[start : start + _KEYS_A_STATEMENT]
        changes = {"leased_until_ms": until_ms}
        present.update(
            session.scalars(
                update(StoredObject)
                .where(StoredObject.digest.in_(some))
                .values(changes if state == DECLARED else {**changes, "state": state})
                .returning(StoredObject.digest)
                .execution_options(synchronize_session=False)
            )
        )
    new = [
        {
            "digest": digest,
            "size_bytes": size_bytes,
            "state": state,
            "is_manifest": is_manifest,
            "leased_until_ms": until_ms,
        }
        for digest, size_bytes in objects.items()
        if digest not in present
    ]
    if new:
        session.execute(insert(StoredObject), new)
    return until_ms


def stored_objects(session: Session, digests: Collection[Digest]) -> set[str]:
    """Return which of some objects were committed or sealed before."""
    asked, stored = list(digests), set[str]()
    for start in range(0, len(asked), _KEYS_A_STATEMENT):
        stored.update(
            session.scalars(
                select(StoredObject.digest).where(
                    StoredObject.digest.in_(asked[start : start + _KEYS_A_STATEMENT]),
                    StoredObject.state == STORED,
                )
            )
        )
    return stored


def commit_files(session: Session, owner: Owner, files: Sequence[ManifestFile]) -> None:
    """Put checked files into a tree, replacing those of the same path.

    Args:
        session: The transaction.
        owner: Writable.
        files: Their objects are in the store.

    Raises:
        InvalidArgument: A path is a folder of the tree, or is below one of its files.
    """
    paths = [file.path for file in files]
    _refuse_files_above(session, owner, paths)
    replaced = set(
        session.scalars(select(ArtifactFile.path).where(*_of(owner), ArtifactFile.path.in_(paths)))
    )
    for path in paths:
        if path not in replaced:
            _refuse_folder(session, owner, path)
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
    gone = session.scalars(
        delete(ArtifactFile).where(*_of(owner), at_or_below(path)).returning(ArtifactFile.path)
    ).all()
    for start in range(0, len(gone), _KEYS_A_STATEMENT):
        _remove(session, owner, gone[start : start + _KEYS_A_STATEMENT])
    return bool(gone)


def _remove(session: Session, owner: Owner, paths: Collection[str]) -> None:
    for table in (ArtifactPart, ArtifactFile):
        session.execute(
            delete(table).where(
                table.owner_kind == owner.kind,
                table.owner_id == owner.owner_id,
                table.path.in_(paths),
            )
        )


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


def _refuse_folder(session: Session, owner: Owner, path: str) -> None:
    inside = session.scalar(
        select(ArtifactFile.path)
        # "0" is the character after "/".
        .where(*_of(owner), ArtifactFile.path > f"{path}/", ArtifactFile.path < f"{path}0")
        .limit(1)
    )
    if inside is not None:
        raise file_and_folder(path)


def _of(owner: Owner) -> tuple[ColumnElement[bool], ...]:
    return (ArtifactFile.owner_kind == owner.kind, ArtifactFile.owner_id == owner.owner_id)
