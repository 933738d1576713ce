"""Reading artifact trees: the files of a run or logged model.

The tree of a run includes its logged models under their names, the newest ready model of each name.
The tree of a logged model includes the files that its run has below the model's name. Where both
have a path, or one has a file where the other has a folder, the logged model's file is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import MODEL_FILE, Digest, ManifestFile, ManifestPart
from modelyard_kit.errors import InvalidArgument, NotFound
from modelyard_tracking.models import ArtifactFile, ArtifactPart, LoggedModel
from modelyard_tracking.operations.logged_models import get_logged_model, require_ready
from modelyard_tracking.operations.missing import refuse_incomplete
from modelyard_tracking.operations.paths import at_or_below
from modelyard_tracking.operations.runs import get_active_run, get_run
from modelyard_tracking.rules.artifacts import Owner, OwnerKind, ancestors
from modelyard_tracking.rules.states import Lifecycle, ModelStatus
from modelyard_tracking.rules.values import model_artifacts, run_artifacts


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


def files_at(session: Session, owner: Owner, path: str) -> list[ManifestFile]:
    """Return the files of a tree at or below a path, by path; all files if the path is empty."""
    if owner.kind is OwnerKind.MODEL:
        found = _files_of_model(session, get_logged_model(session, owner.owner_id), path)
    else:
        found = _files_of_run(session, owner, path)
    return sorted(found, key=lambda file: file.path)


def own_files_at(session: Session, owner: Owner, path: str) -> list[ManifestFile]:
    """Return the files of an owner itself at or below a path, by path."""
    found = [file for file in _own_files(session, owner, path) if _is_at_or_below(file.path, path)]
    return sorted(found, key=lambda file: file.path)


def manifest_contents(session: Session, owner: Owner, folder: str) -> ManifestContents:
    """Return the contents for a manifest of a folder; of the whole tree if the path is empty.

    Raises:
        NotFound: There are no files.
        InvalidArgument: The path is a file.
        FailedPrecondition: The run is deleted, a logged model is not ready, or files of an import
            are missing.
    """
    run_id: str | None
    if owner.kind is OwnerKind.RUN:
        run = get_active_run(session, owner.owner_id)
        experiment_id, run_id = run.experiment_id, owner.owner_id
        model = _model_at(session, owner.owner_id, folder)
        if model is None:
            _refuse_unfinished(session, owner, folder)
        model_id = model.model_id if model else None
    else:
        model = get_logged_model(session, owner.owner_id)
        require_ready(model)
        experiment_id, run_id = model.experiment_id, model.source_run_id
        model_id = model.model_id
    files = files_at(session, owner, folder)
    if not files:
        raise no_artifacts(owner, folder)
    refuse_incomplete(session, owner, folder, model)
    prefix = f"{folder}/" if folder else ""
    if files[0].path == folder:
        raise InvalidArgument(
            f"The path '{folder}' of {owner} is a file; only a folder can be sealed.", path=folder
        )
    relative = tuple(replace(file, path=file.path[len(prefix) :]) for file in files)
    return ManifestContents(relative, experiment_id, run_id, model_id)


def _files_of_run(session: Session, owner: Owner, path: str) -> list[ManifestFile]:
    found = _own_files(session, owner, path)
    for model in shown_models(session, owner.owner_id):
        below = inside(model, path)
        if below is not None:
            files = _own_files(session, Owner(OwnerKind.MODEL, model.model_id), below)
            of_model = [replace(file, path=f"{model.name}/{file.path}") for file in files]
            found = _merged(of_model, found)
    return [file for file in found if _is_at_or_below(file.path, path)]


def _files_of_model(session: Session, model: LoggedModel, path: str) -> list[ManifestFile]:
    found = _own_files(session, Owner(OwnerKind.MODEL, model.model_id), path)
    if model.source_run_id is not None:
        run = Owner(OwnerKind.RUN, model.source_run_id)
        files = _own_files(session, run, f"{model.name}/{path}".rstrip("/"))
        root = f"{model.name}/"
        beside = [
            replace(file, path=file.path.removeprefix(root))
            for file in files
            if file.path.startswith(root)  # not a file in the place of the model's folder
        ]
        found = _merged(found, beside)
    return [file for file in found if _is_at_or_below(file.path, path)]


def _merged(of_model: list[ManifestFile], of_run: list[ManifestFile]) -> list[ManifestFile]:
    """Return the files of a logged model, and those of its run at other paths."""
    files = {file.path for file in of_model}
    folders = {folder for path in files for folder in ancestors(path)}
    hidden = files | folders
    return of_model + [
        file
        for file in of_run
        if file.path not in hidden and files.isdisjoint(ancestors(file.path))
    ]


def inside(model: LoggedModel, path: str) -> str | None:
    """Return the path within a model's files for one of its run's tree; None if it is elsewhere."""
    if path in {"", model.name}:
        return ""
    name, _, inside = path.partition("/")
    return inside if name == model.name else None


def _is_at_or_below(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _own_files(session: Session, owner: Owner, path: str) -> list[ManifestFile]:
    """Return the files of an owner itself at or below a path, and a file in place of its folder."""
    parts: dict[str, list[ManifestPart]] = {}
    for part in session.scalars(
        select(ArtifactPart)
        .where(
            ArtifactPart.owner_kind == owner.kind,
            ArtifactPart.owner_id == owner.owner_id,
            or_(at_or_below(ArtifactPart.path, path), ArtifactPart.path.in_(ancestors(path))),
        )
        .order_by(ArtifactPart.path, ArtifactPart.position)
    ):
        object_ = ManifestPart(Digest(part.digest), part.size_bytes)
        parts.setdefault(part.path, []).append(object_)
    rows = session.scalars(
        select(ArtifactFile).where(
            ArtifactFile.owner_kind == owner.kind,
            ArtifactFile.owner_id == owner.owner_id,
            or_(at_or_below(ArtifactFile.path, path), ArtifactFile.path.in_(ancestors(path))),
        )
    )
    return [
        ManifestFile(row.path, row.size_bytes, Digest(row.digest), tuple(parts.get(row.path, ())))
        for row in rows
    ]


def shown_models(session: Session, run_id: str) -> list[LoggedModel]:
    """Return the ready models that a run's tree includes: the newest of each name."""
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
    return list(newest.values())


def _model_at(session: Session, run_id: str, folder: str) -> LoggedModel | None:
    name = folder.partition("/")[0]
    shown = [model for model in shown_models(session, run_id) if model.name == name]
    return shown[0] if shown else None


def _refuse_unfinished(session: Session, owner: Owner, folder: str) -> None:
    """Refuse a folder of a run that a logged model is still being uploaded to.

    Raises:
        FailedPrecondition: The model is pending or failed, and the run has no model of its own
            there.
    """
    name = folder.partition("/")[0]
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
    if unfinished is not None and not _own_files(session, owner, f"{name}/{MODEL_FILE}"):
        require_ready(unfinished)


def nothing_to_delete(session: Session, owner: Owner, path: str) -> NotFound | InvalidArgument:
    """Return the error for a tree without files of its own at or below a path."""
    shown = files_at(session, owner, path)
    if not shown:
        return no_artifacts(owner, path)
    other = _other_owner(session, owner, shown[0].path)
    return InvalidArgument(
        f"The files at '{path}' of {owner} belong to the {other}; delete them from the "
        f"{other.noun}.",
        path=path,
        belongs_to=other.owner_id,
    )


def _other_owner(session: Session, owner: Owner, path: str) -> Owner:
    """Return the owner of a file that is not the tree's own."""
    if owner.kind is OwnerKind.MODEL:
        run_id = get_logged_model(session, owner.owner_id).source_run_id
        return Owner(OwnerKind.RUN, run_id or "")
    model = _model_at(session, owner.owner_id, path)
    return Owner(OwnerKind.MODEL, model.model_id if model else "")


def no_artifacts(owner: Owner, path: str) -> NotFound:
    where = f"at '{path}' of" if path else "of"
    return NotFound(
        f"There are no artifacts {where} {owner}; log a model or files there first.",
        path=path,
        owner=owner.owner_id,
    )
