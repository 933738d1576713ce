"""Runs: executions of training or evaluation code."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from modelyard_kit.db.base import EXCLUSIVE, SHARED, UNLOCKED, Lock
from modelyard_kit.db.rows import Rows
from modelyard_kit.db.statements import Statement
from modelyard_kit.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from modelyard_kit.keys import checked_key
from modelyard_tracking.models import Experiment, Run
from modelyard_tracking.operations.experiments import lock_active_experiment
from modelyard_tracking.operations.params_and_tags import store_tags
from modelyard_tracking.operations.whole_runs import WholeRun, whole_run
from modelyard_tracking.rules.heartbeats import EXACTNESS_MS
from modelyard_tracking.rules.run_names import invent_name
from modelyard_tracking.rules.states import Lifecycle, RunStatus
from modelyard_tracking.rules.values import (
    RUN_NAME_TAG,
    checked_run_name,
    checked_user,
    new_run_id,
)
from modelyard_tracking.statements import runs as statements
from modelyard_tracking.statements.runs import RunRow


def create_run(
    rows: Rows,
    experiment_id: str,
    name: str,
    user_id: str,
    start_ms: int,
    tags: Mapping[str, str],
    heartbeat_ms: int | None = None,
) -> WholeRun:
    """Start a run in an active experiment.

    Args:
        rows: Rows of the transaction.
        experiment_id: Id of the experiment, a decimal number as text.
        name: Name of the run; if empty, the tag `mlflow.runName` or a generated name.
        user_id: User that the run belongs to.
        start_ms: Start time, Unix time in milliseconds.
        tags: Initial tags.
        heartbeat_ms: Now, if the caller sends heartbeats; else None. Unix time in milliseconds.
    """
    number = lock_active_experiment(rows, experiment_id)
    tagged_name = tags.get(RUN_NAME_TAG, "")
    if name and tagged_name and name != tagged_name:
        raise InvalidArgument(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different "
            f"values (run_name='{name}', mlflow.runName='{tagged_name}')."
        )
    run = RunRow(
        run_id=new_run_id(),
        experiment_id=number,
        name=checked_run_name(name or tagged_name or invent_name()),
        user_id=checked_user(user_id),
        status=RunStatus.RUNNING.value,
        start_ms=start_ms,
        end_ms=None,
        lifecycle_stage=Lifecycle.ACTIVE.value,
        revision=1,
        last_heartbeat_ms=heartbeat_ms,
    )
    first_tags = sorted({**tags, RUN_NAME_TAG: run.name}.items())
    for key, _ in first_tags:
        checked_key(key, "tags.key")
    rows.execute(
        statements.ADD_RUN,
        {**run._asdict(), "deleted_ms": None, "deleted_with_experiment": False},
    )
    store_tags(rows, run.run_id, dict(first_tags))
    return WholeRun(run, tags=[(run.run_id, key, value) for key, value in first_tags])


def get_run(session: Session, run_id: str, lock: Lock = UNLOCKED) -> Run:
    found = session.get(Run, run_id, with_for_update=lock)
    if found is None or found.lifecycle_stage == Lifecycle.PURGED:
        raise _no_run(run_id)
    return found


def get_whole_run(rows: Rows, run_id: str) -> WholeRun:
    """Return a run with its logged data."""
    found = whole_run(rows, run_id)
    if found is None:
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


def write_to_run(rows: Rows, run_id: str, now_ms: int) -> int:
    """Mark an active run as changed and alive, in one statement; used by the hot paths.

    Returns:
        The number of its experiment.

    Raises:
        NotFound: There is no such run.
        FailedPrecondition: The run is deleted.
    """
    values = {"now_ms": now_ms, "stale_ms": now_ms - EXACTNESS_MS}
    return _mark_active(rows, run_id, statements.MARK_CHANGED, values)


def mark_alive(rows: Rows, run_id: str, now_ms: int) -> None:
    """Record a heartbeat of an active run, unless it has ended.

    Raises:
        NotFound: There is no such run.
        FailedPrecondition: The run is deleted.
    """
    _mark_active(rows, run_id, statements.MARK_ALIVE, {"now_ms": now_ms})


def note_life(run: Run, now_ms: int) -> None:
    """Take a write to a locked run for a sign of life."""
    if run.last_heartbeat_ms is not None and run.last_heartbeat_ms < now_ms - EXACTNESS_MS:
        run.last_heartbeat_ms = now_ms


def _mark_active(
    rows: Rows, run_id: str, mark: Statement[tuple[int]], values: Mapping[str, int]
) -> int:
    marked = rows.first(mark, {"of_run": run_id, **values})
    if marked is not None:
        return marked[0]
    find_run(rows, run_id)
    raise _not_active(run_id)


def find_run(rows: Rows, run_id: str, statement: Statement[RunRow] = statements.RUN) -> RunRow:
    """Return a run as a row, for the hot paths.

    Args:
        rows: Rows of the transaction.
        run_id: Id of the run.
        statement: `RUN`, or `LOCKED_RUN`, which locks the row as `EXCLUSIVE` does.
    """
    found = rows.first(statement, {"run_id": run_id})
    if found is None:
        raise _no_run(run_id)
    return found


def update_run(
    rows: Rows,
    run_id: str,
    *,
    status: RunStatus | None,
    end_ms: int | None,
    name: str,
    etag: str,
    now_ms: int,
    heartbeats: bool,
) -> RunRow:
    """Set status, end time or name of an active run; None or an empty name changes nothing.

    A caller that sets it to RUNNING takes it over: from now on it is a run with heartbeats or not,
    whatever it was.

    Raises:
        Aborted: `etag` is set and stale.
    """
    run = find_run(rows, run_id, statements.LOCKED_RUN)
    if run.lifecycle_stage != Lifecycle.ACTIVE:
        raise _not_active(run_id)
    if etag and etag != run.etag:
        raise Aborted(
            f"Etag mismatch: the current etag of the run {run_id} is {run.etag}, the request "
            f"expected {etag}. Nothing was written; read the run again, then retry.",
            etag=run.etag,
        )
    alive_ms = run.last_heartbeat_ms
    takes_over = status is RunStatus.RUNNING
    if takes_over or alive_ms is not None:
        alive_ms = now_ms if heartbeats or not takes_over else None
    if name:
        store_tags(rows, run_id, {RUN_NAME_TAG: checked_run_name(name)})
    changed = run._replace(
        name=name or run.name,
        status=run.status if status is None else status.value,
        end_ms=run.end_ms if end_ms is None else end_ms,
        revision=run.revision + 1,
        last_heartbeat_ms=alive_ms,
    )
    rows.execute(statements.CHANGE_RUN, {**changed._asdict(), "of_run": run_id})
    return changed


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


def _no_run(run_id: str) -> NotFound:
    return NotFound(f"Run with id={run_id} not found", run_id=run_id)


def _not_active(run_id: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"The run {run_id} must be in the 'active' state. Current state is deleted.",
        run_id=run_id,
    )
