"""Importing from another server: repeatable upserts of experiments, runs and logged models.

Each function makes one resource equal to the original and returns whether it was created. Equal
resources are left unchanged, including their revision and times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard_kit.db import locks
from modelyard_kit.db.base import EXCLUSIVE, SHARED
from modelyard_kit.db.rows import rows_of
from modelyard_kit.errors import InvalidArgument
from modelyard_tracking.models import (
    Experiment,
    ExperimentTag,
    Imported,
    LoggedModel,
    LoggedModelTag,
    Run,
    RunTag,
)
from modelyard_tracking.operations.experiments import (
    advance_experiment_ids,
    delete_experiment,
    get_active_experiment,
    get_experiment,
    restore_experiment,
)
from modelyard_tracking.operations.inputs import NewDatasetInput, add_inputs, add_outputs
from modelyard_tracking.operations.logged_models import log_logged_model_params
from modelyard_tracking.operations.origins import (
    Kind,
    is_purged,
    purged_here,
    register_origin,
)
from modelyard_tracking.operations.params_and_tags import log_params
from modelyard_tracking.operations.runs import get_run
from modelyard_tracking.rules.states import Lifecycle, ModelStatus, RunStatus
from modelyard_tracking.rules.values import (
    DEFAULT_EXPERIMENT,
    DEFAULT_EXPERIMENT_NAME,
    MAX_EXPERIMENT_NAME_CHARACTERS,
    RUN_NAME_TAG,
    checked_experiment_name,
    checked_model_name,
    checked_run_name,
    importable_experiment_number,
    is_importable_model_id,
    is_importable_run_id,
    new_model_id,
    new_run_id,
)

_TagTable: TypeAlias = type[ExperimentTag] | type[RunTag] | type[LoggedModelTag]


@dataclass(frozen=True, slots=True)
class OriginalExperiment:
    """An experiment as stored on another server. Times are Unix time in milliseconds."""

    experiment_id: str
    name: str
    lifecycle_stage: Lifecycle
    created_ms: int | None
    updated_ms: int | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OriginalRun:
    """A run as stored on another server; `experiment_id` is an id here. Times are as above."""

    run_id: str
    experiment_id: str
    name: str
    user_id: str
    status: RunStatus
    start_ms: int
    end_ms: int | None
    lifecycle_stage: Lifecycle
    params: Mapping[str, str]
    tags: Mapping[str, str]
    datasets: Sequence[NewDatasetInput]
    model_inputs: Sequence[str]
    """Ids of logged models here."""
    model_outputs: Sequence[tuple[str, int]]
    """Ids of logged models here, each with its step."""


@dataclass(frozen=True, slots=True)
class OriginalModel:
    """A logged model as stored on another server; ids of experiment and run are ids here."""

    model_id: str
    experiment_id: str
    name: str
    model_type: str
    source_run_id: str | None
    status: ModelStatus
    created_ms: int
    updated_ms: int
    params: Mapping[str, str]
    tags: Mapping[str, str]


def import_experiment(
    session: Session, origin: str, original: OriginalExperiment, now_ms: int
) -> tuple[Experiment, bool]:
    """Import an experiment; Default is the same on every server, and only its tags are imported.

    Raises:
        FailedPrecondition: The experiment was purged.
    """
    checked_experiment_name(original.name)
    if original.name == DEFAULT_EXPERIMENT_NAME or original.experiment_id == "0":
        return _add_to_default(session, origin, original), False
    imported = register_origin(session, origin, Kind.EXPERIMENT, original.experiment_id)
    created = not imported.id_here
    if not created:
        experiment = get_experiment(session, imported.id_here, EXCLUSIVE)
    # Blocks calls that create or rename an experiment before they take an id from the sequence.
    locks.hold_table(session, Experiment)
    if created:
        experiment = Experiment(
            experiment_id=_free_experiment_number(session, original.experiment_id),
            name=_free_name(session, original.name, None),
            created_ms=now_ms,
            updated_ms=now_ms,
        )
        session.add(experiment)
        session.flush()
        advance_experiment_ids(session, experiment.experiment_id)
        imported.id_here = str(experiment.experiment_id)
    _set_experiment_stage(session, origin, experiment, original.lifecycle_stage, now_ms)
    values = {"name": _free_name(session, original.name, experiment.experiment_id)}
    times = {"created_ms": original.created_ms, "updated_ms": original.updated_ms}
    given = {column: time for column, time in times.items() if time is not None}
    changed = _assign(experiment, **values, **given)
    changed |= _replace_tags(
        session, ExperimentTag, ExperimentTag.experiment_id, experiment.experiment_id, original.tags
    )
    if changed and not created:
        experiment.revision += 1
    return experiment, created


def import_run(
    session: Session, origin: str, original: OriginalRun, now_ms: int
) -> tuple[Run, bool]:
    """Import a run without its metrics and artifacts.

    A run without a name gets the value of the tag `mlflow.runName`, or else its id, as its name.

    Raises:
        NotFound: The experiment or a logged model does not exist.
        FailedPrecondition: The run is active, and its experiment is deleted; or the run was purged.
        InvalidArgument: The run is in another experiment here, or has another value of a param or
            another step of an output.
    """
    if original.lifecycle_stage == Lifecycle.ACTIVE:
        experiment = get_active_experiment(session, original.experiment_id, SHARED)
    else:
        experiment = get_experiment(session, original.experiment_id, SHARED)
    imported = register_origin(session, origin, Kind.RUN, original.run_id)
    created = not imported.id_here
    if created:
        run = _new_run(session, original, experiment.experiment_id)
        imported.id_here = run.run_id
    else:
        run = get_run(session, imported.id_here, EXCLUSIVE)
    _refuse_move(run.experiment_id, experiment.experiment_id, f"run {run.run_id}")
    name = original.name or original.tags.get(RUN_NAME_TAG, "") or run.run_id
    is_deleted = original.lifecycle_stage == Lifecycle.DELETED
    changed = _assign(
        run,
        name=checked_run_name(name),
        user_id=original.user_id,
        status=original.status,
        start_ms=original.start_ms,
        end_ms=original.end_ms,
        lifecycle_stage=original.lifecycle_stage,
        deleted_ms=(run.deleted_ms or now_ms) if is_deleted else None,
        deleted_with_experiment=is_deleted and experiment.lifecycle_stage == Lifecycle.DELETED,
    )
    tags = {**original.tags, RUN_NAME_TAG: name}
    changed |= _replace_tags(session, RunTag, RunTag.run_id, run.run_id, tags)
    changed |= log_params(rows_of(session), run.run_id, original.params)
    changed |= add_inputs(
        session, run.experiment_id, run.run_id, original.datasets, original.model_inputs
    )
    changed |= add_outputs(session, run.run_id, original.model_outputs)
    if changed and not created:
        run.revision += 1
    return run, created


def import_logged_model(
    session: Session, origin: str, original: OriginalModel
) -> tuple[LoggedModel, bool]:
    """Import a logged model without its metrics and artifacts.

    Raises:
        NotFound: The experiment or the run does not exist.
        FailedPrecondition: The model was purged.
        InvalidArgument: The model or its run is in another experiment here, its name has a
            forbidden character, or a param already has another value.
    """
    experiment = get_experiment(session, original.experiment_id)
    if original.source_run_id is not None:
        run = get_run(session, original.source_run_id)
        _refuse_move(run.experiment_id, experiment.experiment_id, f"run {run.run_id}")
    imported = register_origin(session, origin, Kind.MODEL, original.model_id)
    created = not imported.id_here
    if created:
        model = _new_model(session, original, experiment.experiment_id)
        imported.id_here = model.model_id
    else:
        known = select(LoggedModel).where(LoggedModel.model_id == imported.id_here)
        model = session.scalars(known.with_for_update(**EXCLUSIVE)).one()
        if model.lifecycle_stage == Lifecycle.PURGED:  # in the meantime
            raise purged_here(Kind.MODEL, original.model_id)
    _refuse_move(model.experiment_id, experiment.experiment_id, f"logged model {model.model_id}")
    model.lifecycle_stage, model.deleted_ms = Lifecycle.ACTIVE, None
    session.flush()
    log_logged_model_params(session, model.model_id, original.params, original.updated_ms)
    _assign(
        model,
        name=checked_model_name(original.name),
        model_type=original.model_type,
        source_run_id=original.source_run_id,
        status=original.status,
        created_ms=original.created_ms,
        updated_ms=original.updated_ms,
    )
    _replace_tags(session, LoggedModelTag, LoggedModelTag.model_id, model.model_id, original.tags)
    return model, created


def _add_to_default(session: Session, origin: str, original: OriginalExperiment) -> Experiment:
    number = str(DEFAULT_EXPERIMENT)
    register_origin(session, origin, Kind.EXPERIMENT, original.experiment_id).id_here = number
    default = get_experiment(session, number, EXCLUSIVE)
    rows = session.execute(
        select(ExperimentTag.key, ExperimentTag.value).where(
            ExperimentTag.experiment_id == DEFAULT_EXPERIMENT
        )
    )
    tags = {**{row.key: row.value for row in rows}, **original.tags}
    owner = ExperimentTag.experiment_id
    if _replace_tags(session, ExperimentTag, owner, DEFAULT_EXPERIMENT, tags):
        default.revision += 1
    return default


def _set_experiment_stage(
    session: Session, origin: str, experiment: Experiment, stage: Lifecycle, now_ms: int
) -> None:
    number = str(experiment.experiment_id)
    if experiment.lifecycle_stage != stage:
        change = delete_experiment if stage == Lifecycle.DELETED else restore_experiment
        change(session, number, now_ms)
    if stage == Lifecycle.DELETED:
        # No origin records which runs were deleted separately, so restoring restores all of them.
        imported = select(Imported.id_here).where(
            Imported.origin == origin, Imported.kind == Kind.RUN
        )
        session.execute(
            update(Run)
            .where(Run.experiment_id == experiment.experiment_id, Run.run_id.in_(imported))
            .values(deleted_with_experiment=True)
        )


def _free_experiment_number(session: Session, origin_id: str) -> int | None:
    """Return the number of the original if it is free here, or None for the next free number."""
    number = importable_experiment_number(origin_id)
    if number is None or session.get(Experiment, number) is not None:
        return None
    if is_purged(session, Kind.EXPERIMENT, str(number)):
        return None
    return number


def _free_name(session: Session, name: str, own_number: int | None) -> str:
    """Return the first of `name`, `name (2)`, … that no other experiment has."""
    return next(
        candidate
        for candidate in _names_like(name)
        if session.scalar(select(Experiment.experiment_id).where(Experiment.name == candidate))
        in {None, own_number}
    )


def _names_like(name: str) -> Iterator[str]:
    yield name
    for number in count(2):
        suffix = f" ({number})"
        yield name[: MAX_EXPERIMENT_NAME_CHARACTERS - len(suffix)] + suffix


def _new_run(session: Session, original: OriginalRun, experiment_id: int) -> Run:
    preserves_id = (
        is_importable_run_id(original.run_id) and session.get(Run, original.run_id) is None
    )
    run = Run(
        run_id=original.run_id if preserves_id else new_run_id(),
        experiment_id=experiment_id,
        name=original.name,
        user_id=original.user_id,
        status=original.status,
        start_ms=original.start_ms,
    )
    session.add(run)
    session.flush()
    return run


def _new_model(session: Session, original: OriginalModel, experiment_id: int) -> LoggedModel:
    taken = session.scalar(
        select(LoggedModel.model_id).where(LoggedModel.model_id == original.model_id)
    )
    preserves_id = is_importable_model_id(original.model_id) and taken is None
    model = LoggedModel(
        model_id=original.model_id if preserves_id else new_model_id(),
        experiment_id=experiment_id,
        name=checked_model_name(original.name),
        model_type=original.model_type,
        created_ms=original.created_ms,
        updated_ms=original.updated_ms,
    )
    session.add(model)
    session.flush()
    return model


def _refuse_move(current: int, requested: int, subject: str) -> None:
    if current != requested:
        raise InvalidArgument(
            f"The {subject} is in the experiment {current}, not in {requested}.",
            experiment_id=str(requested),
        )


def _assign(row: Experiment | Run | LoggedModel, **values: Any) -> bool:
    """Set columns, and return whether that changed anything."""
    different = {column: value for column, value in values.items() if getattr(row, column) != value}
    for column, value in different.items():
        setattr(row, column, value)
    return bool(different)


def _replace_tags(
    session: Session,
    table: _TagTable,
    owner: InstrumentedAttribute[Any],
    owner_id: int | str,
    tags: Mapping[str, str],
) -> bool:
    """Replace the tags of an owner, and return whether that changed anything."""
    present = session.execute(select(table.key, table.value).where(owner == owner_id))
    if {row.key: row.value for row in present} == tags:
        return False
    session.execute(delete(table).where(owner == owner_id))
    if tags:
        session.execute(
            insert(table),
            [{owner.key: owner_id, "key": key, "value": value} for key, value in tags.items()],
        )
    return True
