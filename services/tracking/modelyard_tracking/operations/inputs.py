"""Inputs and outputs of runs: datasets and logged models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, select
from sqlalchemy.orm import Session

from modelyard_kit.db.rows import rows_of
from modelyard_kit.errors import InvalidArgument
from modelyard_tracking.models import (
    Dataset,
    DatasetInput,
    DatasetInputTag,
    ModelInput,
    ModelOutput,
)
from modelyard_tracking.operations.logged_models import get_logged_model
from modelyard_tracking.operations.runs import write_to_run
from modelyard_tracking.rules.values import CONTEXT_TAG


@dataclass(frozen=True, slots=True)
class NewDatasetInput:
    """A dataset as logged, with the tags of this input."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str
    profile: str
    tags: Mapping[str, str]


def log_inputs(
    session: Session,
    run_id: str,
    datasets: Iterable[NewDatasetInput],
    model_ids: Iterable[str],
    now_ms: int,
) -> None:
    """Record the inputs of an active run; inputs recorded before are left unchanged."""
    experiment_id = write_to_run(rows_of(session), run_id, now_ms)
    add_inputs(session, experiment_id, run_id, datasets, model_ids)


def add_inputs(
    session: Session,
    experiment_id: int,
    run_id: str,
    datasets: Iterable[NewDatasetInput],
    model_ids: Iterable[str],
) -> bool:
    """Record the inputs of a run, and return whether any was new."""
    changed = False
    for new in datasets:
        changed |= _add_dataset(session, experiment_id, run_id, new)
        session.flush()
    for model_id in model_ids:
        get_logged_model(session, model_id)
        if session.get(ModelInput, (run_id, model_id)) is None:
            session.add(ModelInput(run_id=run_id, model_id=model_id))
            session.flush()
            changed = True
    return changed


def log_outputs(
    session: Session, run_id: str, steps: Iterable[tuple[str, int]], now_ms: int
) -> None:
    """Record the logged models that an active run produced, each with its step.

    Raises:
        InvalidArgument: A model is already recorded with another step.
    """
    write_to_run(rows_of(session), run_id, now_ms)
    add_outputs(session, run_id, steps)


def add_outputs(session: Session, run_id: str, steps: Iterable[tuple[str, int]]) -> bool:
    """Record the outputs of a run, and return whether any was new."""
    changed = False
    for model_id, step in steps:
        get_logged_model(session, model_id)
        present = session.get(ModelOutput, (run_id, model_id))
        if present is None:
            session.add(ModelOutput(run_id=run_id, model_id=model_id, step=step))
            session.flush()
            changed = True
        elif present.step != step:
            raise InvalidArgument(
                f"The logged model '{model_id}' is already an output of the run {run_id} at step "
                f"{present.step}, not {step}; the step of an output cannot change.",
                model_id=model_id,
            )
    return changed


def datasets_of_experiments(
    session: Session, experiment_numbers: Sequence[int], limit: int
) -> Sequence[Row[Any]]:
    """Return distinct rows (experiment_id, name, digest, context) of the input datasets of runs.

    At most `limit` rows, sorted by these columns. Deleted runs are included.
    """
    context = and_(
        DatasetInputTag.run_id == DatasetInput.run_id,
        DatasetInputTag.name == DatasetInput.name,
        DatasetInputTag.digest == DatasetInput.digest,
        DatasetInputTag.key == CONTEXT_TAG,
    )
    columns: list[ColumnElement[Any]] = [
        DatasetInput.experiment_id.expression,
        DatasetInput.name.expression,
        DatasetInput.digest.expression,
        DatasetInputTag.value.label("context"),
    ]
    *first, context_column = columns
    return session.execute(
        select(*columns)
        .outerjoin(DatasetInputTag, context)
        .where(DatasetInput.experiment_id.in_(experiment_numbers))
        .distinct()
        .order_by(*first, context_column.nulls_first())
        .limit(limit)
    ).all()


def _add_dataset(session: Session, experiment_id: int, run_id: str, new: NewDatasetInput) -> bool:
    key = (experiment_id, new.name, new.digest)
    if session.get(Dataset, key) is None:
        session.add(
            Dataset(
                experiment_id=experiment_id,
                name=new.name,
                digest=new.digest,
                source_type=new.source_type,
                source=new.source,
                schema=new.schema,
                profile=new.profile,
            )
        )
        session.flush()
    if session.get(DatasetInput, (run_id, new.name, new.digest)) is not None:
        return False
    session.add(
        DatasetInput(run_id=run_id, experiment_id=experiment_id, name=new.name, digest=new.digest)
    )
    session.flush()
    session.add_all(
        DatasetInputTag(run_id=run_id, name=new.name, digest=new.digest, key=key, value=value)
        for key, value in new.tags.items()
    )
    return True
