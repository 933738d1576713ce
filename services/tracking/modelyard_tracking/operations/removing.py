"""Removing the rows of purged resources, a bounded number in each transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from sqlalchemy import ColumnElement, CursorResult, and_, delete, exists, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard_kit.db.base import EXCLUSIVE
from modelyard_tracking.models import (
    ArtifactFile,
    ArtifactPart,
    Base,
    Dataset,
    DatasetInput,
    DatasetInputTag,
    Experiment,
    ExperimentTag,
    LatestMetric,
    LatestModelMetric,
    LoggedModel,
    LoggedModelParam,
    LoggedModelTag,
    MetricChunk,
    MissingArtifact,
    ModelInput,
    ModelOutput,
    Param,
    Run,
    RunTag,
)
from modelyard_tracking.operations.metrics import restore_latest_of_models
from modelyard_tracking.rules.artifacts import OwnerKind
from modelyard_tracking.rules.states import Lifecycle

_OWNERS_AT_ONCE = 100
_ROWS_AT_ONCE = 2_000
_CHUNKS_AT_ONCE = 200  # of up to 100 KB each

_Key: TypeAlias = InstrumentedAttribute[Any]


class _Dependent(NamedTuple):
    """A table whose rows go with their owner."""

    table: type[Base]
    owner: _Key
    kind: ColumnElement[bool] | None = None
    """Kind of the owner, if the table has several."""
    limit: int = _ROWS_AT_ONCE


def _files(kind: OwnerKind) -> tuple[_Dependent, ...]:
    return (
        _Dependent(MissingArtifact, MissingArtifact.owner_id, MissingArtifact.owner_kind == kind),
        _Dependent(ArtifactPart, ArtifactPart.owner_id, ArtifactPart.owner_kind == kind),
        _Dependent(ArtifactFile, ArtifactFile.owner_id, ArtifactFile.owner_kind == kind),
    )


_OF_RUNS = (
    _Dependent(Param, Param.run_id),
    _Dependent(RunTag, RunTag.run_id),
    _Dependent(MetricChunk, MetricChunk.run_id, limit=_CHUNKS_AT_ONCE),
    _Dependent(LatestMetric, LatestMetric.run_id),
    _Dependent(LatestModelMetric, LatestModelMetric.run_id),
    _Dependent(DatasetInputTag, DatasetInputTag.run_id),
    _Dependent(DatasetInput, DatasetInput.run_id),
    _Dependent(ModelInput, ModelInput.run_id),
    _Dependent(ModelOutput, ModelOutput.run_id),
    *_files(OwnerKind.RUN),
)
_OF_MODELS = (
    _Dependent(LatestModelMetric, LatestModelMetric.model_id),
    _Dependent(LoggedModelParam, LoggedModelParam.model_id),
    _Dependent(LoggedModelTag, LoggedModelTag.model_id),
    _Dependent(ModelInput, ModelInput.model_id),
    _Dependent(ModelOutput, ModelOutput.model_id),
    *_files(OwnerKind.MODEL),
)
_OF_EXPERIMENTS = (
    _Dependent(Dataset, Dataset.experiment_id),
    _Dependent(ExperimentTag, ExperimentTag.experiment_id),
)


def remove_claimed(session: Session) -> bool:
    """Remove some rows of claimed resources, and return whether there were any.

    Rows of claimed resources that another transaction is removing are left to it.
    """
    return (
        _remove_owners(session, Run, Run.run_id, _OF_RUNS)
        or _remove_owners(session, LoggedModel, LoggedModel.model_id, _OF_MODELS)
        or _remove_owners(session, Experiment, Experiment.experiment_id, _OF_EXPERIMENTS)
    )


def remove_dataset_inputs(session: Session, condition: ColumnElement[bool]) -> int:
    """Remove inputs whose tags are removed, and datasets that are no input any more.

    Returns:
        The number of inputs removed.
    """
    removed = session.execute(
        delete(DatasetInput)
        .where(condition)
        .returning(DatasetInput.experiment_id, DatasetInput.name, DatasetInput.digest)
        .execution_options(synchronize_session=False)
    ).all()
    key = tuple_(Dataset.experiment_id, Dataset.name, Dataset.digest)
    is_input = exists().where(
        DatasetInput.experiment_id == Dataset.experiment_id,
        DatasetInput.name == Dataset.name,
        DatasetInput.digest == Dataset.digest,
    )
    if removed:
        _execute(
            session, delete(Dataset).where(key.in_({tuple(row) for row in removed}), ~is_input)
        )
    return len(removed)


def _remove_owners(
    session: Session,
    table: type[Experiment | Run | LoggedModel],
    key: _Key,
    dependents: Sequence[_Dependent],
) -> bool:
    # The second condition is that of the index.
    is_claimed = and_(table.lifecycle_stage == Lifecycle.PURGED, table.deleted_ms.is_not(None))
    claimed = select(key).where(is_claimed).limit(_OWNERS_AT_ONCE)
    if table is Experiment:
        claimed = claimed.where(
            ~exists().where(Run.experiment_id == key),
            ~exists().where(LoggedModel.experiment_id == key),
        )
    lock = {**EXCLUSIVE, "of": table, "skip_locked": True}
    ids = session.scalars(claimed.with_for_update(**lock)).all()
    if not ids:
        return False
    left = _ROWS_AT_ONCE
    for dependent in dependents:
        limit = min(left, dependent.limit)
        removed = _remove_some(session, dependent, ids, limit)
        left -= removed
        if removed == limit:
            return True
    if table is Run:
        links = update(LoggedModel).where(LoggedModel.source_run_id.in_(ids))
        _execute(session, links.values(source_run_id=None))
    _execute(session, delete(table).where(key.in_(ids)))
    return True


def _remove_some(session: Session, dependent: _Dependent, ids: Collection[Any], limit: int) -> int:
    """Remove up to `limit` rows that belong to owners, and return their number."""
    table = dependent.table
    key = tuple_(*table.__mapper__.primary_key)
    rows = select(*table.__mapper__.primary_key).where(dependent.owner.in_(ids))
    if dependent.kind is not None:
        rows = rows.where(dependent.kind)
    chosen = key.in_(rows.limit(limit))
    if table is DatasetInput:
        return remove_dataset_inputs(session, chosen)
    if table is not LatestModelMetric:
        return _execute(session, delete(table).where(chosen))
    removed = session.execute(
        delete(LatestModelMetric)
        .where(chosen)
        .returning(*table.__mapper__.primary_key)
        .execution_options(synchronize_session=False)
    ).all()
    if dependent.owner is LatestModelMetric.run_id:
        restore_latest_of_models(session, [tuple(row) for row in removed])
    return len(removed)


def _execute(session: Session, statement: Any) -> int:
    unsynchronized = statement.execution_options(synchronize_session=False)
    return cast("CursorResult[Any]", session.execute(unsynchronized)).rowcount
