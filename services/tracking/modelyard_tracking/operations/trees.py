"""Reading artifact trees: the files of a run or logged model.

The tree of a run includes its logged models under their names: the newest ready model of each name,
unless the run has files of its own at or below that name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, NoReturn

from sqlalchemy import ColumnElement, and_, or_, select, true
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import Digest, ManifestFile, ManifestPart
from modelyard_kit.errors import InvalidArgument, NotFound
from modelyard_tracking.models import ArtifactFile, ArtifactPart, LoggedModel
from modelyard_tracking.operations.logged_models import get_logged_model, require_ready
from modelyard_tracking.operations.runs import get_active_run, get_run
from modelyard_tracking.rules.artifacts import Owner, OwnerKind
from modelyard_tracking.rules.states import Lifecycle, ModelStatus
from modelyard_tracking.rules.values import model_artifacts, run_artifacts


class Entry(NamedTuple):
    """One entry of a listing; `size_bytes` is None for a folder."""

    path: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class ManifestContents:
    """The files of a manifest, and the run and logged model that they belong to."""

    files: tuple[ManifestFile, ...]
    """Files with paths relative to the sealed folder."""
    experiment_id: int
    run_id: str | None
    model_id: str | None


def root_uri(session: Session, owner: Owner, experiment_id: str = "") -> str:
    """Return the artifact URI of a tree.

    Args:
        session: Session open for reading.
        owner: Owner of the tree.
        experiment_id: Expected experiment of the owner; not checked if empty.

    Raises:
        NotFound: There is no such run or logged model in that experiment.
    """
    if owner.kind is OwnerKind.RUN:
        actual = get_run(session, owner.owner_id).experiment_id
        uri = run_artifacts(actual, owner.owner_id)
    else:
        actual = get_logged_model(session, owner.owner_id).experiment_id
        uri = model_artifacts(actual, owner.owner_id)
    if experiment_id not in {"", str(actual)}:
        raise NotFound(
            f"There is no {owner} in experiment '{experiment_id}'.",
            owner=owner.owner_id,
            experiment_id=experiment_id,
        )
    return uri


def entries(session: Session, owner: Owner, folder: str) -> list[Entry]:
    """Return one level of a tree by path; a missing folder has no entries."""
    prefix = f"{folder}/" if folder else ""
    found: dict[str, Entry] = {}
    for file in files_at(session, owner, folder):
        if not file.path.startswith(prefix):
            continue  # the path is a file itself
        name, _, below = file.path[len(prefix) :].partition("/")
        found[prefix + name] = Entry(prefix + name, None if below else file.size_bytes)
    return [found[path] for path in sorted(found)]


def files_at(session: Session, owner: Owner, path: str) -> list[ManifestFile]:
    """Return the files of a tree at or below a path, by path; all files if the path is empty."""
    found = _own_files(session, owner, path)
    if owner.kind is OwnerKind.RUN:
        for model in _shown_models(session, owner.owner_id):
            found += _files_shown(session, model, path)
    return sorted(found, key=lambda file: file.path)


def file_at(session: Session, owner: Owner, path: str) -> ManifestFile:
    """Return the file at a path of a tree.

    Raises:
        NotFound: There is no such file.
        InvalidArgument: The path is a folder.
    """
    files = files_at(session, owner, path)
    if not files:
        raise no_artifacts(owner, path)
    if files[0].path != path:
        raise InvalidArgument(
            f"The path '{path}' of {owner} is a folder; name a file in it.", path=path
        )
    return files[0]


def manifest_contents(session: Session, owner: Owner, folder: str) -> ManifestContents:
    """Return the contents for a manifest of a folder; of the whole tree if the path is empty.

    Raises:
        NotFound: There are no files.
        InvalidArgument: The path is a file.
        FailedPrecondition: The run is deleted, or a logged model is not ready.
    """
    run_id: str | None
    if owner.kind is OwnerKind.RUN:
        run = get_active_run(session, owner.owner_id)
        experiment_id, run_id = run.experiment_id, owner.owner_id
        model = _model_at(session, owner.owner_id, folder)
        model_id = model.model_id if model else None
    else:
        model = get_logged_model(session, owner.owner_id)
        require_ready(model)
        experiment_id, run_id = model.experiment_id, model.source_run_id
        model_id = model.model_id
    files = files_at(session, owner, folder)
    if not files:
        _explain_empty(session, owner, folder)
    prefix = f"{folder}/" if folder else ""
    if files[0].path == folder:
        raise InvalidArgument(
            f"The path '{folder}' of {owner} is a file; only a folder can be sealed.", path=folder
        )
    relative = tuple(replace(file, path=file.path[len(prefix) :]) for file in files)
    return ManifestContents(relative, experiment_id, run_id, model_id)


def _own_files(session: Session, owner: Owner, path: str) -> list[ManifestFile]:
    parts: dict[str, list[ManifestPart]] = {}
    for part in session.scalars(
        select(ArtifactPart)
        .where(
            ArtifactPart.owner_kind == owner.kind,
            ArtifactPart.owner_id == owner.owner_id,
        )
        .order_by(ArtifactPart.path, ArtifactPart.position)
    ):
        object_ = ManifestPart(Digest(part.digest), part.size_bytes)
        parts.setdefault(part.path, []).append(object_)
    rows = session.scalars(
        select(ArtifactFile).where(
            ArtifactFile.owner_kind == owner.kind,
            ArtifactFile.owner_id == owner.owner_id,
            at_or_below(path),
        )
    )
    return [
        ManifestFile(row.path, row.size_bytes, Digest(row.digest), tuple(parts.get(row.path, ())))
        for row in rows
    ]


def at_or_below(
    path: str, table: type[ArtifactFile | ArtifactPart] = ArtifactFile
) -> ColumnElement[bool]:
    """Return a condition for files at or below a path; for all files if the path is empty."""
    if not path:
        return true()
    # "0" is the character after "/".
    inside = and_(table.path > f"{path}/", table.path < f"{path}0")
    return or_(table.path == path, inside)


def _shown_models(session: Session, run_id: str) -> list[LoggedModel]:
    """Return the ready models that a run's tree includes, one per name."""
    newest = {
        model.name: model
        for model in session.scalars(
            select(LoggedModel)
            .where(
                LoggedModel.source_run_id == run_id,
                LoggedModel.lifecycle_stage == Lifecycle.ACTIVE,
                LoggedModel.status == ModelStatus.READY,
            )
            .order_by(LoggedModel.created_ms, LoggedModel.number)
        )
    }
    own = Owner(OwnerKind.RUN, run_id)
    return [
        model
        for name, model in newest.items()
        if session.scalar(
            select(ArtifactFile.path)
            .where(
                ArtifactFile.owner_kind == own.kind,
                ArtifactFile.owner_id == own.owner_id,
                at_or_below(name),
            )
            .limit(1)
        )
        is None
    ]


def _files_shown(session: Session, model: LoggedModel, path: str) -> list[ManifestFile]:
    if path in {"", model.name}:
        inside = ""
    elif path.startswith(f"{model.name}/"):
        inside = path[len(model.name) + 1 :]
    else:
        return []
    files = _own_files(session, Owner(OwnerKind.MODEL, model.model_id), inside)
    return [replace(file, path=f"{model.name}/{file.path}") for file in files]


def _model_at(session: Session, run_id: str, folder: str) -> LoggedModel | None:
    name = folder.partition("/")[0]
    shown = [model for model in _shown_models(session, run_id) if model.name == name]
    return shown[0] if shown else None


def _explain_empty(session: Session, owner: Owner, folder: str) -> NoReturn:
    name = folder.partition("/")[0]
    if owner.kind is OwnerKind.RUN and name:
        unfinished = session.scalar(
            select(LoggedModel)
            .where(
                LoggedModel.source_run_id == owner.owner_id,
                LoggedModel.lifecycle_stage == Lifecycle.ACTIVE,
                LoggedModel.name == name,
                LoggedModel.status != ModelStatus.READY,
            )
            .limit(1)
        )
        if unfinished is not None:
            require_ready(unfinished)
    raise no_artifacts(owner, folder)


def nothing_to_delete(session: Session, owner: Owner, path: str) -> NotFound | InvalidArgument:
    """Return the error for a tree without files of its own at or below a path."""
    shown = files_at(session, owner, path)
    if not shown:
        return no_artifacts(owner, path)
    model = _model_at(session, owner.owner_id, shown[0].path)
    model_id = model.model_id if model else ""
    return InvalidArgument(
        f"The files at '{path}' of {owner} belong to the logged model '{model_id}'; delete them "
        "from the logged model.",
        path=path,
        model_id=model_id,
    )


def no_artifacts(owner: Owner, path: str) -> NotFound:
    where = f"at '{path}' of" if path else "of"
    return NotFound(
        f"There are no artifacts {where} {owner}; log a model or files there first.",
        path=path,
        owner=owner.owner_id,
    )
