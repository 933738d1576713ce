"""Listing one level of an artifact tree, or finding one file, without reading the files below it.

Entries are found by walking the index of paths: the entry after a file begins at the next path, the
entry after a folder at the first path that is not below it.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, literal, select, true
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import ManifestFile
from modelyard_kit.errors import InvalidArgument
from modelyard_tracking.models import ArtifactFile, LoggedModel
from modelyard_tracking.operations.logged_models import get_logged_model
from modelyard_tracking.operations.trees import files_at, inside, no_artifacts, shown_models
from modelyard_tracking.rules.artifacts import Owner, OwnerKind, ancestors

_NEXT = "\x01"
"""What a path is followed by in the least path after it, as no path contains NUL."""
_AFTER_SLASH = "0"


class Entry(NamedTuple):
    """One entry of a listing; `size_bytes` is None for a folder."""

    path: str
    size_bytes: int | None


_Level = dict[str, int | None]
"""Sizes by name, None for a folder."""


def entries(session: Session, owner: Owner, folder: str, after: str, limit: int) -> list[Entry]:
    """Return entries of one level of a tree by path; a missing folder has none.

    Args:
        session: Session open for reading.
        owner: Owner of the tree.
        folder: Folder whose entries are listed; empty for the root.
        after: Path of the last entry that is skipped; empty to begin with the first.
        limit: Largest number of entries.
    """
    prefix = _prefix(folder)
    name = after.removeprefix(prefix)
    if owner.kind is OwnerKind.MODEL:
        model = get_logged_model(session, owner.owner_id)
        level = _of_model(session, model, folder, name, limit)
    else:
        level = _of_run(session, owner, folder, name, limit)
    return [Entry(prefix + found, level[found]) for found in sorted(level)[:limit]]


def file_at(session: Session, owner: Owner, path: str) -> ManifestFile:
    """Return the file at a path of a tree.

    Raises:
        NotFound: There is no such file.
        InvalidArgument: The path is a folder.
    """
    if entries(session, owner, path, "", 1):
        where = f"path '{path}'" if path else "root"
        raise InvalidArgument(
            f"The {where} of {owner} is a folder; list it, or name a file in it.", path=path
        )
    files = files_at(session, owner, path)
    if not files:
        raise no_artifacts(owner, path)
    return files[0]


def _of_run(session: Session, owner: Owner, folder: str, after: str, limit: int) -> _Level:
    models = shown_models(session, owner.owner_id)
    if not folder:
        shown: _Level = {
            model.name: None
            for model in models
            if model.name > after and _own(session, _owner_of(model), "", "", 1)
        }
        return _own(session, owner, "", after, limit) | shown
    for model in models:
        below = inside(model, folder)
        if below is not None:
            return _of_model(session, model, below, after, limit)
    return _own(session, owner, folder, after, limit)


def _of_model(session: Session, model: LoggedModel, folder: str, after: str, limit: int) -> _Level:
    """Return a level of a model's files and those of its run beside them."""
    owner = _owner_of(model)
    of_model = _own(session, owner, folder, after, limit)
    if model.source_run_id is None or _has_file_above(session, owner, folder):
        return of_model
    run = Owner(OwnerKind.RUN, model.source_run_id)
    return _own(session, run, f"{model.name}/{folder}".rstrip("/"), after, limit) | of_model


def _own(session: Session, owner: Owner, folder: str, after: str, limit: int) -> _Level:
    """Return the first entries of a level of an owner's own files, at least `limit` if there are.

    The index has a folder where its files are, after `name-x` and `name.x`, which are listed after
    `name`. So the folders that the walk has not reached are those whose names begin the last name.
    """
    prefix = _prefix(folder)
    skipped = len(_names_before(after)) + 1
    rows = _walk(
        session, owner, folder, prefix + after + _NEXT if after else prefix, limit + skipped
    )
    level: _Level = {}
    for path, size_bytes in rows:
        name, _, below = path[len(prefix) :].partition("/")
        if name > after:
            level[name] = None if below else size_bytes
    if len(level) >= limit:
        last = sorted(level)[limit - 1]
        for name in _names_before(last):
            if name > after and _walk(session, owner, prefix + name, f"{prefix}{name}/", 1):
                level[name] = None
    return level


def _walk(
    session: Session, owner: Owner, folder: str, start: str, limit: int
) -> list[tuple[str, int]]:
    """Return path and size of the first file of each entry of a folder, from a path on."""
    length = len(_prefix(folder))
    own = _files_of(owner)
    within = ArtifactFile.path < f"{folder}{_AFTER_SLASH}" if folder else true()

    def first(at: ColumnElement[str]) -> ColumnElement[str]:
        least = select(func.min(ArtifactFile.path)).where(own, within, ArtifactFile.path >= at)
        return least.scalar_subquery()

    walk = select(first(literal(start)).label("path"), literal(1).label("number")).cte(
        recursive=True
    )
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    position = func.strpos if is_postgresql else func.instr
    slash = position(func.substr(walk.c.path, length + 1), "/")
    following = case(
        (slash > 0, func.substr(walk.c.path, 1, length + slash - 1).concat(_AFTER_SLASH)),
        else_=walk.c.path.concat(_NEXT),
    )
    step = select(first(following), walk.c.number + 1)
    walk = walk.union_all(step.where(walk.c.path.is_not(None), walk.c.number < limit))
    found = select(ArtifactFile.path, ArtifactFile.size_bytes).join(
        walk, and_(own, ArtifactFile.path == walk.c.path)
    )
    return [(path, size_bytes) for path, size_bytes in session.execute(found)]


def _names_before(name: str) -> list[str]:
    """Return the beginnings of a name that are less than it, while paths below them are greater."""
    return [name[:length] for length in range(1, len(name)) if name[length] < "/"]


def _has_file_above(session: Session, owner: Owner, folder: str) -> bool:
    """Whether a file is in the place of a folder, or of one that contains it."""
    paths = [folder, *ancestors(folder)]
    file = select(ArtifactFile.path).where(_files_of(owner), ArtifactFile.path.in_(paths))
    return session.scalar(file.limit(1)) is not None


def _files_of(owner: Owner) -> ColumnElement[bool]:
    return and_(ArtifactFile.owner_kind == owner.kind, ArtifactFile.owner_id == owner.owner_id)


def _owner_of(model: LoggedModel) -> Owner:
    return Owner(OwnerKind.MODEL, model.model_id)


def _prefix(folder: str) -> str:
    return f"{folder}/" if folder else ""
