"""Runs, and the active one."""

from __future__ import annotations

import atexit
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from modelyard._environment import setting
from modelyard._fluent.context import context_tags
from modelyard._fluent.experiments import active_experiment_id
from modelyard._fluent.state import client, end_open_runs, process, thread
from modelyard.entities import Run, RunStatus
from modelyard.exceptions import InvalidParameter, InvalidState, Unimplemented

PARENT_RUN_TAG = "mlflow.parentRunId"
_DESCRIPTION_TAG = "mlflow.note.content"


class ActiveRun(Run):
    """A run that ends with its `with` block: FINISHED, or FAILED by an exception."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The block may have ended it already, or started others without ending them.
        while any(run.info.run_id == self.info.run_id for run in thread.runs):
            end_run("FINISHED" if kind is None else "FAILED")


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,  # noqa: FBT001, FBT002 - MLflow's signature
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,  # noqa: FBT001 - MLflow's signature
) -> ActiveRun:
    """Start a run, or go on with an earlier one, and make it the active one of this thread.

    Args:
        run_id: Go on with this one; by default that of `MODELYARD_RUN_ID`, or else a new one.
        experiment_id: Of the new run; by default the active experiment.
        run_name: Invented by default.
        nested: Whether it may start inside the active run, as its child.
        parent_run_id: Of another run it is a child of.
        tags: Values are turned to text.
        description: Shown with the run.
        log_system_metrics: Not built yet.

    Returns:
        The run; used in a `with` statement, it ends with the block.

    Raises:
        InvalidState: A run is active and `nested` is not given, or `run_id` is deleted.
        NotFound: There is no such run or experiment.
    """
    if log_system_metrics:
        raise Unimplemented("log_system_metrics is not built yet; leave it out.")
    if thread.runs and not nested:
        active = thread.runs[-1].info.run_id
        raise InvalidState(
            f"Run with UUID {active} is already active. End it first with modelyard.end_run(), "
            "or start a nested run with start_run(nested=True)."
        )
    all_tags = dict(tags or {})
    if description is not None:
        all_tags[_DESCRIPTION_TAG] = description
    # Only the first run of a thread is the one that the environment means.
    run_id = run_id or (None if thread.runs else setting("RUN_ID"))
    if run_id:
        run = _resume(run_id, experiment_id, run_name, all_tags)
    else:
        run = _create(experiment_id, run_name, all_tags, parent_run_id)
    return _activate(run)


def _resume(
    run_id: str, experiment_id: str | None, run_name: str | None, tags: dict[str, Any]
) -> Run:
    known = client().get_run(run_id)
    if known.info.lifecycle_stage != "active":
        raise InvalidState(f"The run {run_id} is deleted; restore it before going on with it.")
    if experiment_id is not None and str(experiment_id) != known.info.experiment_id:
        raise InvalidParameter(
            f"The run {run_id} is of experiment {known.info.experiment_id}, not {experiment_id}."
        )
    client().update_run(run_id, status=RunStatus.RUNNING.name, name=run_name)
    if tags:
        _set_tags(run_id, tags)
    return client().get_run(run_id)


def _create(
    experiment_id: str | None,
    run_name: str | None,
    tags: dict[str, Any],
    parent_run_id: str | None,
) -> Run:
    parent = parent_run_id or (thread.runs[-1].info.run_id if thread.runs else None)
    if parent:
        tags[PARENT_RUN_TAG] = parent
    if experiment_id is None:
        experiment_id = active_experiment_id()
    return client().create_run(experiment_id, tags={**context_tags(), **tags}, run_name=run_name)


def _activate(run: Run) -> ActiveRun:
    active = ActiveRun(run.info, run.data, run.inputs, run.outputs, run.etag)
    if not process.open_run_ids:
        # Registered after grpc was imported, so that it runs before grpc's own.
        atexit.unregister(end_open_runs)
        atexit.register(end_open_runs)
    process.open_run_ids.add(run.info.run_id)
    thread.runs.append(active)
    thread.last_run_id = run.info.run_id
    return active


def active_or_new_run_id(run_id: str | None = None) -> str:
    """Return the run to log to: the given one, the active one, or a new one."""
    if run_id:
        return run_id
    return (thread.runs[-1] if thread.runs else start_run()).info.run_id


def end_run(status: str = "FINISHED") -> None:
    """End the active run, if there is one.

    Args:
        status: "FINISHED", "FAILED" or "KILLED".
    """
    if not thread.runs:
        return
    if status not in RunStatus.__members__:
        raise InvalidParameter(f"Invalid run status '{status}'; expected FINISHED or FAILED.")
    run_id = thread.runs.pop().info.run_id
    process.open_run_ids.discard(run_id)
    client().set_terminated(run_id, status)


def active_run() -> Run | None:
    """Return the active run of this thread, as it was when it started; None without one."""
    return thread.runs[-1] if thread.runs else None


def last_active_run() -> Run | None:
    """Return the run that was started last in this thread, as it is now; None without one."""
    return client().get_run(thread.last_run_id) if thread.last_run_id else None


def get_run(run_id: str) -> Run:
    """Return a run with its latest metrics, params and tags."""
    return client().get_run(run_id)


def get_parent_run(run_id: str) -> Run | None:
    """Return the run that a nested run belongs to; None if it is not nested."""
    return client().get_parent_run(run_id)


def delete_run(run_id: str) -> None:
    """Delete a run; `restore_run` brings it back."""
    client().delete_run(run_id)


def restore_run(run_id: str) -> None:
    """Restore a deleted run."""
    client().restore_run(run_id)


def _set_tags(run_id: str, tags: Mapping[str, Any]) -> None:
    from modelyard.entities import RunTag

    client().log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
