"""Erasing personal data: a run, logged model or experiment, or a single entry or file of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    and_,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    union,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard_kit.artifacts import Digest
from modelyard_kit.db.base import EXCLUSIVE
from modelyard_kit.errors import InvalidArgument, NotFound
from modelyard_kit.rpc.idempotency import forget_replies
from modelyard_tracking.models import (
    ArtifactFile,
    ArtifactPart,
    Dataset,
    DatasetInput,
    DatasetInputTag,
    Experiment,
    ExperimentTag,
    LoggedModel,
    LoggedModelParam,
    LoggedModelTag,
    Param,
    Run,
    RunTag,
    StoredObject,
)
from modelyard_tracking.operations.artifacts import remove_files
from modelyard_tracking.operations.missing import forget_missing
from modelyard_tracking.operations.origins import Kind, is_purged
from modelyard_tracking.operations.paths import at_or_below
from modelyard_tracking.operations.removing import remove_dataset_inputs
from modelyard_tracking.operations.trees import nothing_to_delete
from modelyard_tracking.rules.artifacts import Owner, OwnerKind
from modelyard_tracking.rules.states import Lifecycle
from modelyard_tracking.rules.values import RUN_NAME_TAG, USER_TAG

MAX_OBJECTS = 1_000
_MAX_FILES = 100


class Part(StrEnum):
    """The kinds of what can be erased of a run, logged model or experiment."""

    PARAM = "param"
    TAG = "tag"
    PATH = "path"
    DATASET = "dataset"


@dataclass(frozen=True, slots=True)
class Target:
    """What to erase: a resource, or the part of it with a key, path or name."""

    kind: Kind
    resource_id: str | int
    """Number of an experiment, id of a run or logged model."""
    part: Part | None = None
    name: str = ""

    @property
    def owner(self) -> Owner:
        """The owner of a tree; not for experiments."""
        return Owner(OwnerKind(self.kind), str(self.resource_id))


@dataclass(frozen=True, slots=True)
class Files:
    """Files to erase, and the objects that they consist of."""

    count: int
    size_bytes: int
    objects: Mapping[Digest, int]
    """Sizes in bytes of up to `MAX_OBJECTS` objects."""
    further_objects: int


def find_resource(session: Session, target: Target) -> Experiment | Run | LoggedModel | None:
    """Lock the resource of a target and return it; None if it was purged.

    Raises:
        NotFound: It never existed.
    """
    table, key = _RESOURCES[target.kind]
    wanted: Select[Any] = select(table)
    found: Experiment | Run | LoggedModel | None = session.scalar(
        wanted.where(key == target.resource_id, table.lifecycle_stage != Lifecycle.PURGED)
        .with_for_update(**EXCLUSIVE)
        .execution_options(populate_existing=True)
    )
    if found is None and not is_purged(session, target.kind, str(target.resource_id)):
        raise NotFound(
            f"There is no {_NOUNS[target.kind]} with the id '{target.resource_id}'.",
            id=str(target.resource_id),
        )
    return found


def erase_part(
    session: Session,
    resource: Experiment | Run | LoggedModel,
    part: Part,
    target: Target,
    now_ms: int,
) -> int:
    """Erase a part of a resource.

    Args:
        session: Session of the transaction.
        resource: Resource of the target, locked.
        part: Part of the target.
        target: What to erase.
        now_ms: Unix time in milliseconds.

    Returns:
        The number of params, tags, datasets, or files and records of missing files erased.

    Raises:
        InvalidArgument: The files at the path are shown in the tree, but belong to the logged model
            of a run, or to the run of a logged model.
    """
    erased = _ERASE[part](session, target)
    if isinstance(resource, Run):
        erased = max(erased, _erase_column(resource, target))
    if not isinstance(resource, Experiment):
        forget_replies(session, [str(target.resource_id)])
    if erased and not isinstance(resource, LoggedModel):
        resource.revision += 1
    if erased and not isinstance(resource, Run):
        resource.updated_ms = now_ms
    return erased


def files_of(session: Session, target: Target) -> Files:
    """Return the files of a target."""
    in_files = _files(target, ArtifactFile)
    count, size_bytes = session.execute(
        select(func.count(), func.coalesce(func.sum(ArtifactFile.size_bytes), 0)).where(in_files)
    ).one()
    objects = _objects(in_files, _files(target, ArtifactPart)).subquery()
    total = session.scalar(select(func.count()).select_from(objects)) or 0
    first = session.execute(select(objects).order_by(objects.c.digest).limit(MAX_OBJECTS))
    sizes = {Digest(row.digest): row.size_bytes for row in first}
    return Files(count, int(size_bytes), sizes, total - len(sizes))


def stored(session: Session, digests: Sequence[Digest]) -> dict[Digest, int]:
    """Return the ends of the leases of objects that are known, Unix time in milliseconds."""
    rows = session.execute(
        select(StoredObject.digest, StoredObject.leased_until_ms).where(
            StoredObject.digest.in_(digests)
        )
    )
    return {Digest(row.digest): row.leased_until_ms for row in rows}


def other_files(session: Session, target: Target, digest: Digest) -> Sequence[Row[str, str, str]]:
    """Return up to 100 files (owner_kind, owner_id, path) outside a target with an object."""
    found = union(
        *(
            select(table.owner_kind, table.owner_id, table.path).where(
                table.digest == digest, ~_files(target, table)
            )
            for table in (ArtifactFile, ArtifactPart)
        )
    )
    return session.execute(found.limit(_MAX_FILES)).all()


def _objects(in_files: ColumnElement[bool], in_parts: ColumnElement[bool]) -> CompoundSelect[Any]:
    has_parts = exists().where(
        ArtifactPart.owner_kind == ArtifactFile.owner_kind,
        ArtifactPart.owner_id == ArtifactFile.owner_id,
        ArtifactPart.path == ArtifactFile.path,
    )
    return union(
        select(ArtifactFile.digest, ArtifactFile.size_bytes).where(in_files, ~has_parts),
        select(ArtifactPart.digest, ArtifactPart.size_bytes).where(in_parts),
    )


def _files(target: Target, table: type[ArtifactFile | ArtifactPart]) -> ColumnElement[bool]:
    """Return the condition for the files of a target, or for their parts."""
    if target.part not in {None, Part.PATH}:
        return false()
    if target.kind is not Kind.EXPERIMENT:
        return and_(
            table.owner_kind == target.kind,
            table.owner_id == target.resource_id,
            at_or_below(table.path, target.name),
        )
    runs = select(Run.run_id).where(Run.experiment_id == target.resource_id)
    models = select(LoggedModel.model_id).where(LoggedModel.experiment_id == target.resource_id)
    return or_(
        and_(table.owner_kind == OwnerKind.RUN, table.owner_id.in_(runs)),
        and_(table.owner_kind == OwnerKind.MODEL, table.owner_id.in_(models)),
    )


def _erase_param(session: Session, target: Target) -> int:
    if target.kind is Kind.RUN:
        of_run = (Param.run_id == target.resource_id, Param.key == target.name)
        return len(session.scalars(delete(Param).where(*of_run).returning(Param.key)).all())
    of_model = (
        LoggedModelParam.model_id == target.resource_id,
        LoggedModelParam.key == target.name,
    )
    erased = delete(LoggedModelParam).where(*of_model).returning(LoggedModelParam.key)
    return len(session.scalars(erased).all())


def _erase_tag(session: Session, target: Target) -> int:
    table, owner = _TAGS[target.kind]
    of_owner = (owner == target.resource_id, table.key == target.name)
    return len(session.scalars(delete(table).where(*of_owner).returning(table.key)).all())


def _erase_column(run: Run, target: Target) -> int:
    """Erase the column that has the value of a tag too."""
    if (target.part, target.name) == (Part.TAG, USER_TAG) and run.user_id:
        run.user_id = ""
        return 1
    if (target.part, target.name) == (Part.TAG, RUN_NAME_TAG) and run.name != run.run_id:
        run.name = run.run_id
        return 1
    return 0


def _erase_dataset(session: Session, target: Target) -> int:
    owner = DatasetInput.run_id if target.kind is Kind.RUN else DatasetInput.experiment_id
    inputs = and_(owner == target.resource_id, DatasetInput.name == target.name)
    tags = exists().where(
        inputs,
        DatasetInput.run_id == DatasetInputTag.run_id,
        DatasetInput.name == DatasetInputTag.name,
        DatasetInput.digest == DatasetInputTag.digest,
    )
    session.execute(
        delete(DatasetInputTag).where(tags).execution_options(synchronize_session=False)
    )
    if target.kind is Kind.RUN:
        return remove_dataset_inputs(session, inputs)
    datasets = and_(Dataset.experiment_id == target.resource_id, Dataset.name == target.name)
    found = session.scalar(select(func.count()).select_from(Dataset).where(datasets)) or 0
    remove_dataset_inputs(session, inputs)
    session.execute(delete(Dataset).where(datasets).execution_options(synchronize_session=False))
    return found


def _erase_files(session: Session, target: Target) -> int:
    paths = session.scalars(select(ArtifactFile.path).where(_files(target, ArtifactFile))).all()
    recorded = forget_missing(session, target.owner, target.name)
    if not paths and not recorded:
        reason = nothing_to_delete(session, target.owner, target.name)
        if isinstance(reason, InvalidArgument):
            raise reason
    remove_files(session, target.owner, paths)
    return len(paths) + recorded


_ERASE = {
    Part.PARAM: _erase_param,
    Part.TAG: _erase_tag,
    Part.DATASET: _erase_dataset,
    Part.PATH: _erase_files,
}
_RESOURCES: dict[Kind, tuple[type[Experiment | Run | LoggedModel], InstrumentedAttribute[Any]]] = {
    Kind.EXPERIMENT: (Experiment, Experiment.experiment_id),
    Kind.RUN: (Run, Run.run_id),
    Kind.MODEL: (LoggedModel, LoggedModel.model_id),
}
_TAGS: dict[
    Kind, tuple[type[ExperimentTag | RunTag | LoggedModelTag], InstrumentedAttribute[Any]]
] = {
    Kind.EXPERIMENT: (ExperimentTag, ExperimentTag.experiment_id),
    Kind.RUN: (RunTag, RunTag.run_id),
    Kind.MODEL: (LoggedModelTag, LoggedModelTag.model_id),
}
_NOUNS = {Kind.EXPERIMENT: "experiment", Kind.RUN: "run", Kind.MODEL: "logged model"}
