"""Runs: executions of training or evaluation code."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import Row, Table, bindparam, case, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from modelyard_kit.auth.scope import scope_of
from modelyard_kit.db.base import EXCLUSIVE, SHARED, UNLOCKED, Lock
from modelyard_kit.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from modelyard_kit.keys import checked_key
from modelyard_tracking.models import Experiment, Run, RunTag
from modelyard_tracking.operations.experiments import get_active_experiment
from modelyard_tracking.operations.whole_runs import WholeRun
from modelyard_tracking.rules.heartbeats import EXACTNESS_MS
from modelyard_tracking.rules.run_names import invent_name
from modelyard_tracking.rules.states import Lifecycle, RunStatus
from modelyard_tracking.rules.values import (
    RUN_NAME_TAG,
    checked_run_name,
    checked_user,
    new_run_id,
)

_runs = cast(Table, Run.__table__)
# Built once, because building the statements takes longer than executing them.
_OF_ACTIVE_RUN = (
    update(_runs)
    .where(_runs.c.run_id == bindparam("of_run"), _runs.c.lifecycle_stage == Lifecycle.ACTIVE)
    .returning(_runs.c.experiment_id)
)
_MARK_CHANGED = _OF_ACTIVE_RUN.values(
    revision=_runs.c.revision + 1,
    # NULL, without heartbeats, stays NULL.
    last_heartbeat_ms=case(
        (_runs.c.last_heartbeat_ms < bindparam("stale_ms"), bindparam("now_ms")),
        else_=_runs.c.last_heartbeat_ms,
    ),
)
_MARK_ALIVE = _OF_ACTIVE_RUN.values(
    last_heartbeat_ms=case(
        (_runs.c.status == RunStatus.RUNNING, bindparam("now_ms")),
        else_=_runs.c.last_heartbeat_ms,
    )
)


def create_run(
    session: Session,
    experiment_id: str,
    name: str,
    user_id: str,
    start_ms: int,
    tags: dict[str, str],
    heartbeat_ms: int | None = None,
) -> WholeRun:
    """Start a run in an active experiment.

    Args:
        session: Session of the transaction.
        experiment_id: Id of the experiment, a decimal number as text.
        name: Name of the run; if empty, the tag `mlflow.runName` or a generated name.
        user_id: User that the run belongs to.
        start_ms: Start time, Unix time in milliseconds.
        tags: Initial tags.
        heartbeat_ms: Now, if the caller sends heartbeats; else None. Unix time in milliseconds.
    """
    # Locked, so that a concurrent deletion of the experiment does not miss this run.
    experiment = get_active_experiment(session, experiment_id, SHARED)
    tagged_name = tags.get(RUN_NAME_TAG, "")
    if name and tagged_name and name != tagged_name:
        raise InvalidArgument(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different "
            f"values (run_name='{name}', mlflow.runName='{tagged_name}')."
        )
    name = checked_run_name(name or tagged_name or invent_name())
    run = Run(
        run_id=new_run_id(),
        experiment_id=experiment.experiment_id,
        name=name,
        user_id=checked_user(user_id),
        start_ms=start_ms,
        end_ms=None,
        last_heartbeat_ms=heartbeat_ms,
    )
    session.add(run)
    session.flush()
    first_tags: list[Row[Any] | RunTag] = [
        RunTag(run_id=run.run_id, key=checked_key(key, "tags.key"), value=value)
        for key, value in sorted({**tags, RUN_NAME_TAG: name}.items())
    ]
    session.add_all(first_tags)
    return WholeRun(run, tags=first_tags)


def get_run(session: Session, run_id: str, lock: Lock = UNLOCKED) -> Run:
    found = session.get(Run, run_id, with_for_update=lock)
    if found is None or found.lifecycle_stage == Lifecycle.PURGED:
        raise _no_run(run_id)
    return found


def exists(session: Session, run_id: str) -> bool:
    return session.get(Run, run_id) is not None


def get_active_run(session: Session, run_id: str, lock: Lock = UNLOCKED) -> Run:
    """Return a run that may be written to.

    Raises:
        FailedPrecondition: The run is deleted.
    """
    found = get_run(session, run_id, lock)
    if found.lifecycle_stage != Lifecycle.ACTIVE:
        raise _not_active(run_id)
    return found


def write_to_run(session: Session, run_id: str, now_ms: int) -> int:
    """Mark an active run as changed and alive, in one statement; used by the hot paths.

    Returns:
        The number of its experiment.

    Raises:
        NotFound: There is no such run.
        FailedPrecondition: The run is deleted.
    """
    values = {"now_ms": now_ms, "stale_ms": now_ms - EXACTNESS_MS}
    return _update_active(session, run_id, _MARK_CHANGED, values)


def mark_alive(session: Session, run_id: str, now_ms: int) -> None:
    """Record a heartbeat of an active run, unless it has ended.

    Raises:
        NotFound: There is no such run.
        FailedPrecondition: The run is deleted.
    """
    _update_active(session, run_id, _MARK_ALIVE, {"now_ms": now_ms})


def note_life(run: Run, now_ms: int) -> None:
    """Take a write to a locked run for a sign of life."""
    if run.last_heartbeat_ms is not None and run.last_heartbeat_ms < now_ms - EXACTNESS_MS:
        run.last_heartbeat_ms = now_ms


def _update_active(
    session: Session, run_id: str, statement: ReturningUpdate[Any], values: dict[str, int]
) -> int:
    if scope_of(session):
        _require_run(session, run_id)
    experiment_id = session.connection().scalar(statement, {"of_run": run_id, **values})
    if experiment_id is not None:
        return int(experiment_id)
    _require_run(session, run_id)
    raise _not_active(run_id)


def update_run(
    session: Session,
    run_id: str,
    *,
    status: RunStatus | None,
    end_ms: int | None,
    name: str,
    etag: str,
    now_ms: int,
    heartbeats: bool,
) -> Run:
    """Set status, end time or name of an active run; None or an empty name changes nothing.

    A caller that sets it to RUNNING takes it over: from now on it is a run with heartbeats or not,
    whatever it was.

    Raises:
        Aborted: `etag` is set and stale.
    """
    run = get_active_run(session, run_id, EXCLUSIVE)
    if etag and etag != run.etag:
        raise Aborted(
            f"Etag mismatch: the current etag of the run {run_id} is {run.etag}, the request "
            f"expected {etag}. Nothing was written; read the run again, then retry.",
            etag=run.etag,
        )
    takes_over = status is RunStatus.RUNNING
    if takes_over or run.last_heartbeat_ms is not None:
        run.last_heartbeat_ms = now_ms if heartbeats or not takes_over else None
    if status is not None:
        run.status = status
    if end_ms is not None:
        run.end_ms = end_ms
    if name:
        run.name = checked_run_name(name)
        session.merge(RunTag(run_id=run_id, key=RUN_NAME_TAG, value=name))
    run.revision += 1
    return run


def delete_run(session: Session, run_id: str, now_ms: int) -> None:
    """Delete a run by itself: restoring its experiment does not restore it."""
    run = get_run(session, run_id, EXCLUSIVE)
    if run.lifecycle_stage == Lifecycle.ACTIVE:
        run.lifecycle_stage = Lifecycle.DELETED
        run.deleted_ms = now_ms
        run.revision += 1


def restore_run(session: Session, run_id: str) -> None:
    """Restore a run.

    Raises:
        FailedPrecondition: The experiment of the run is deleted.
    """
    # Locks the experiment before the run, like the deletion of experiments, to avoid deadlocks.
    number = get_run(session, run_id).experiment_id
    experiment = session.get_one(Experiment, number, with_for_update=SHARED)
    run = get_run(session, run_id, EXCLUSIVE)
    if run.lifecycle_stage == Lifecycle.ACTIVE:
        return
    if experiment.lifecycle_stage != Lifecycle.ACTIVE:
        raise FailedPrecondition(
            f"The experiment {run.experiment_id} of the run {run_id} is deleted; "
            "restore the experiment first.",
            experiment_id=str(run.experiment_id),
        )
    run.lifecycle_stage = Lifecycle.ACTIVE
    run.deleted_ms = None
    run.deleted_with_experiment = False
    run.revision += 1


def _require_run(session: Session, run_id: str) -> None:
    known = select(Run.run_id).where(Run.run_id == run_id, Run.lifecycle_stage != Lifecycle.PURGED)
    if session.scalar(known) is None:
        raise _no_run(run_id)


def _no_run(run_id: str) -> NotFound:
    return NotFound(f"Run with id={run_id} not found", run_id=run_id)


def _not_active(run_id: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"The run {run_id} must be in the 'active' state. Current state is deleted.",
        run_id=run_id,
    )
