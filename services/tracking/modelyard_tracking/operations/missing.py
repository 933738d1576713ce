"""Files that an import has not brought to a tree; a folder that lacks one is not sealed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select
from sqlalchemy.orm import Session

from modelyard_kit.db.base import LATER
from modelyard_kit.errors import FailedPrecondition
from modelyard_tracking.models import LoggedModel, MissingArtifact
from modelyard_tracking.operations.paths import at_or_below
from modelyard_tracking.rules.artifacts import Owner, OwnerKind, ancestors, described_missing

_PATHS_PER_STATEMENT = 5_000


def replace_missing(session: Session, owner: Owner, files: Sequence[tuple[str, str]]) -> None:
    """Replace the missing files of an owner, given as pairs of path and reason.

    Args:
        session: Session of the transaction, which holds the lock of the tree.
        owner: Owner of the tree.
        files: Checked paths, each once, and reasons.
    """
    session.execute(delete(MissingArtifact).where(*_of(owner)))
    if files:
        key = {"owner_kind": owner.kind, "owner_id": owner.owner_id}
        rows = [{**key, "path": path, "reason": reason} for path, reason in files]
        session.execute(insert(MissingArtifact), rows)


def missing_of(session: Session, owner: Owner) -> Sequence[MissingArtifact]:
    """Return the missing files of an owner, by path."""
    rows = select(MissingArtifact).where(*_of(owner)).order_by(MissingArtifact.path)
    return session.scalars(rows).all()


def forget_missing(session: Session, owner: Owner, path: str) -> int:
    """Remove the records of missing files at or below a path; return their number."""
    removed = delete(MissingArtifact).where(*_of(owner), at_or_below(MissingArtifact.path, path))
    return len(session.scalars(removed.returning(MissingArtifact.path)).all())


def found_at(session: Session, owner: Owner, paths: Sequence[str]) -> None:
    """Remove the records of files that are there now."""
    for start in range(0, len(paths), _PATHS_PER_STATEMENT):
        batch = paths[start : start + _PATHS_PER_STATEMENT]
        there = delete(MissingArtifact).where(*_of(owner), MissingArtifact.path.in_(batch))
        session.execute(there.execution_options(synchronize_session=False, **LATER))


def refuse_incomplete(
    session: Session, owner: Owner, folder: str, model: LoggedModel | None
) -> None:
    """Refuse a folder that lacks files.

    Args:
        session: Session open for reading.
        owner: Owner of the tree.
        folder: The folder; empty for the whole tree.
        model: The logged model that the folder belongs to; None for other folders of a run.

    Raises:
        FailedPrecondition: Files are missing; the message names them.
    """
    conditions = []
    if model is None:
        above = MissingArtifact.path.in_(["", *ancestors(folder)])
        conditions.append(and_(*_of(owner), or_(at_or_below(MissingArtifact.path, folder), above)))
    else:
        inside = folder if owner.kind is OwnerKind.MODEL else folder.partition("/")[2]
        of_model = _of(Owner(OwnerKind.MODEL, model.model_id))
        below = at_or_below(MissingArtifact.path, inside)
        conditions.append(and_(*of_model, or_(below, MissingArtifact.path == "")))
        if model.source_run_id:
            beside = f"{model.name}/{inside}".rstrip("/")
            of_run = _of(Owner(OwnerKind.RUN, model.source_run_id))
            conditions.append(and_(*of_run, at_or_below(MissingArtifact.path, beside)))
    rows = session.scalars(
        select(MissingArtifact).where(or_(*conditions)).order_by(MissingArtifact.path)
    ).all()
    if rows:
        where = f"The folder '{folder}' of {owner}" if folder else f"The tree of {owner}"
        raise FailedPrecondition(
            f"{where} is not whole: {described_missing([(row.path, row.reason) for row in rows])}. "
            "Import it again once they can be read, log them, or delete their paths.",
            owner=owner.owner_id,
            path=folder,
        )


def status_messages(session: Session, model_ids: Sequence[str]) -> dict[str, str]:
    """Return which files logged models lack, by the ids of those that lack any."""
    rows = session.scalars(
        select(MissingArtifact)
        .where(
            MissingArtifact.owner_kind == OwnerKind.MODEL, MissingArtifact.owner_id.in_(model_ids)
        )
        .order_by(MissingArtifact.owner_id, MissingArtifact.path)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        found.setdefault(row.owner_id, []).append((row.path, row.reason))
    return {
        model_id: f"Not whole: {described_missing(files)}." for model_id, files in found.items()
    }


def _of(owner: Owner) -> tuple[ColumnElement[bool], ...]:
    return (MissingArtifact.owner_kind == owner.kind, MissingArtifact.owner_id == owner.owner_id)
