"""Experiments: groups of runs."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, cast, func, select, text, update
from sqlalchemy.orm import Session

from modelyard_kit.auth.scope import check_experiment, scope_of
from modelyard_kit.db.base import EXCLUSIVE, UNLOCKED, Lock
from modelyard_kit.db.rows import Rows
from modelyard_kit.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)
from modelyard_kit.keys import checked_key
from modelyard_tracking.models import Experiment, ExperimentTag, Purged, Run
from modelyard_tracking.operations.origins import Kind, is_purged
from modelyard_tracking.rules.states import Lifecycle
from modelyard_tracking.rules.values import (
    ARTIFACT_ROOT,
    checked_experiment_name,
    experiment_artifacts,
    experiment_number,
)
from modelyard_tracking.statements.runs import EXPERIMENT_STAGE

_ADVANCE_IDS = text(
    "SELECT setval(counter, :number) "
    "FROM pg_get_serial_sequence('experiment', 'experiment_id') AS counter "
    "WHERE :number > coalesce(pg_sequence_last_value(counter), 0)"
)
_KEYS_PER_STATEMENT = 5_000  # databases bind at most some ten thousand values


def create_experiment(
    session: Session, name: str, artifact_location: str, tags: dict[str, str], now_ms: int
) -> Experiment:
    """Create an experiment.

    Raises:
        AlreadyExists: An experiment has the name, even if it is deleted.
        InvalidArgument: `artifact_location` is not in Modelyard's own store.
        PermissionDenied: The name is outside the scope of the caller's token.
    """
    _require_free(session, checked_experiment_name(name))
    experiment = _add_experiment(session, name, now_ms)
    default_location = experiment_artifacts(experiment.experiment_id)
    if artifact_location not in {"", ARTIFACT_ROOT.rstrip("/"), ARTIFACT_ROOT, default_location}:
        raise InvalidArgument(
            f"Invalid artifact_location '{artifact_location}': artifacts are kept in Modelyard's "
            f"own store; leave it empty or give '{ARTIFACT_ROOT}'.",
            artifact_location=artifact_location,
        )
    session.add_all(
        ExperimentTag(
            experiment_id=experiment.experiment_id, key=checked_key(key, "tags.key"), value=value
        )
        for key, value in tags.items()
    )
    return experiment


def advance_experiment_ids(session: Session, number: int) -> None:
    """Assign ids greater than `number` to new experiments; SQLite does so automatically."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_ADVANCE_IDS, {"number": number})


def get_experiment(session: Session, experiment_id: str, lock: Lock = UNLOCKED) -> Experiment:
    found = session.get(Experiment, experiment_number(experiment_id), with_for_update=lock)
    if found is None or found.lifecycle_stage == Lifecycle.PURGED:
        raise _no_experiment(experiment_id)
    return found


def get_experiment_by_name(session: Session, name: str) -> Experiment:
    found = session.scalar(select(Experiment).where(Experiment.name == name))
    if found is None:
        raise NotFound(f"Could not find experiment with name '{name}'", name=name)
    return found


def get_active_experiment(
    session: Session, experiment_id: str, lock: Lock = UNLOCKED
) -> Experiment:
    """Return an experiment that may be written to.

    Raises:
        FailedPrecondition: The experiment is deleted.
    """
    found = get_experiment(session, experiment_id, lock)
    _require_active(experiment_id, found.lifecycle_stage)
    return found


def lock_active_experiment(rows: Rows, experiment_id: str) -> int:
    """Lock an experiment that runs are added to, and return its number.

    Raises:
        FailedPrecondition: The experiment is deleted.
    """
    number = experiment_number(experiment_id)
    found = rows.first(EXPERIMENT_STAGE, {"experiment_id": number})
    if found is None or found[0] == Lifecycle.PURGED:
        raise _no_experiment(experiment_id)
    _require_active(experiment_id, found[0])
    return number


def tags_of(session: Session, experiments: Sequence[Experiment]) -> dict[int, list[ExperimentTag]]:
    """Return the tags of each experiment, by key."""
    found: dict[int, list[ExperimentTag]] = {row.experiment_id: [] for row in experiments}
    ids = list(found)
    for start in range(0, len(ids), _KEYS_PER_STATEMENT):
        batch = ids[start : start + _KEYS_PER_STATEMENT]
        tags = select(ExperimentTag).where(ExperimentTag.experiment_id.in_(batch))
        for tag in session.scalars(tags.order_by(ExperimentTag.key)):
            found[tag.experiment_id].append(tag)
    return found


def rename_experiment(
    session: Session, experiment_id: str, name: str, etag: str, now_ms: int
) -> None:
    experiment = get_active_experiment(session, experiment_id, EXCLUSIVE)
    if etag and etag != experiment.etag:
        raise Aborted(
            f"Etag mismatch: the current etag of the experiment {experiment_id} is "
            f"{experiment.etag}, the request expected {etag}. Nothing was written; read the "
            "experiment again, then retry.",
            etag=experiment.etag,
        )
    if name == experiment.name:
        return
    _require_free(session, checked_experiment_name(name))
    experiment.name = name
    _touch(experiment, now_ms)


def delete_experiment(session: Session, experiment_id: str, now_ms: int) -> None:
    """Delete an experiment and its active runs."""
    experiment = get_experiment(session, experiment_id, EXCLUSIVE)
    if experiment.lifecycle_stage != Lifecycle.ACTIVE:
        raise NotFound(
            f"No active Experiment with id={experiment_id} exists; it is deleted already.",
            experiment_id=experiment_id,
        )
    experiment.lifecycle_stage = Lifecycle.DELETED
    experiment.deleted_ms = now_ms
    _touch(experiment, now_ms)
    session.execute(
        update(Run)
        .where(
            Run.experiment_id == experiment.experiment_id, Run.lifecycle_stage == Lifecycle.ACTIVE
        )
        .values(
            lifecycle_stage=Lifecycle.DELETED,
            deleted_ms=now_ms,
            deleted_with_experiment=True,
            revision=Run.revision + 1,
        )
    )


def restore_experiment(session: Session, experiment_id: str, now_ms: int) -> None:
    """Restore an experiment and the runs that were deleted with it, not runs deleted before."""
    experiment = get_experiment(session, experiment_id, EXCLUSIVE)
    if experiment.lifecycle_stage != Lifecycle.DELETED:
        raise NotFound(
            f"No deleted Experiment with id={experiment_id} exists; it is active.",
            experiment_id=experiment_id,
        )
    experiment.lifecycle_stage = Lifecycle.ACTIVE
    experiment.deleted_ms = None
    _touch(experiment, now_ms)
    session.execute(
        update(Run)
        .where(
            Run.experiment_id == experiment.experiment_id,
            Run.deleted_with_experiment,
            Run.lifecycle_stage != Lifecycle.PURGED,
        )
        .values(
            lifecycle_stage=Lifecycle.ACTIVE,
            deleted_ms=None,
            deleted_with_experiment=False,
            revision=Run.revision + 1,
        )
    )


def set_experiment_tag(
    session: Session, experiment_id: str, key: str, value: str, now_ms: int
) -> None:
    experiment = get_active_experiment(session, experiment_id, EXCLUSIVE)
    session.merge(
        ExperimentTag(
            experiment_id=experiment.experiment_id, key=checked_key(key, "key"), value=value
        )
    )
    _touch(experiment, now_ms)


def delete_experiment_tag(session: Session, experiment_id: str, key: str, now_ms: int) -> None:
    experiment = get_active_experiment(session, experiment_id, EXCLUSIVE)
    tag = session.get(ExperimentTag, (experiment.experiment_id, key))
    if tag is None:
        raise NotFound(
            f"No tag with name: {key} in experiment with id {experiment_id}",
            experiment_id=experiment_id,
            key=key,
        )
    session.delete(tag)
    _touch(experiment, now_ms)


def _add_experiment(session: Session, name: str, now_ms: int) -> Experiment:
    times = {"created_ms": now_ms, "updated_ms": now_ms}
    experiment = Experiment(name=name, **times)
    session.add(experiment)
    session.flush()
    if not is_purged(session, Kind.EXPERIMENT, str(experiment.experiment_id)):
        return experiment
    # A restored database counts on from the largest number that it has.
    session.delete(experiment)
    session.flush()
    largest = func.max(cast(Purged.purged_id, BigInteger))
    last = session.scalar(select(largest).where(Purged.kind == Kind.EXPERIMENT)) or 0
    experiment = Experiment(experiment_id=last + 1, name=name, **times)
    session.add(experiment)
    session.flush()
    advance_experiment_ids(session, experiment.experiment_id)
    return experiment


def _no_experiment(experiment_id: str) -> NotFound:
    return NotFound(f"No Experiment with id={experiment_id} exists", experiment_id=experiment_id)


def _require_active(experiment_id: str, stage: str) -> None:
    if stage != Lifecycle.ACTIVE:
        raise FailedPrecondition(
            f"The experiment {experiment_id} must be in the 'active' state. "
            f"Current state is {stage}.",
            experiment_id=experiment_id,
        )


def _require_free(session: Session, name: str) -> None:
    check_experiment(scope_of(session), name)
    taken = session.scalar(select(Experiment).where(Experiment.name == name))
    if taken is None:
        return
    explanation = ""
    if taken.lifecycle_stage == Lifecycle.DELETED:
        explanation = (
            f" It is deleted: restore the experiment with id {taken.experiment_id}, "
            "purge it with `modelyard gc --deleted`, or choose another name."
        )
    raise AlreadyExists(
        f"Experiment(name={name}) already exists.{explanation}",
        name=name,
        experiment_id=str(taken.experiment_id),
    )


def _touch(experiment: Experiment, now_ms: int) -> None:
    experiment.updated_ms = now_ms
    experiment.revision += 1
