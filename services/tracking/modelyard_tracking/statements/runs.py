"""Statements of runs."""

from __future__ import annotations

from typing import NamedTuple, cast

from sqlalchemy import Table, bindparam, case, select, update

from modelyard_kit.db.base import EXCLUSIVE, SHARED
from modelyard_kit.db.statements import Statement, among, inserting, listed
from modelyard_tracking.models import Experiment, Run
from modelyard_tracking.rules.states import Lifecycle, RunStatus
from modelyard_tracking.search.restriction import RESTRICTIONS

_runs = cast(Table, Run.__table__)
_experiments = cast(Table, Experiment.__table__)


class RunRow(NamedTuple):
    """A run; the fields are columns of its table."""

    run_id: str
    experiment_id: int
    name: str
    user_id: str
    status: str
    start_ms: int
    end_ms: int | None
    lifecycle_stage: str
    revision: int
    last_heartbeat_ms: int | None

    @property
    def etag(self) -> str:
        return f'"{self.revision}"'


_run = select(*(_runs.c[name] for name in RunRow._fields)).where(
    _runs.c.lifecycle_stage != Lifecycle.PURGED
)
_one_run = _run.where(_runs.c.run_id == bindparam("run_id"))
RUN = Statement(_one_run, RunRow, restrictions=RESTRICTIONS)
LOCKED_RUN = Statement(_one_run.with_for_update(**EXCLUSIVE), RunRow, restrictions=RESTRICTIONS)
RUNS = Statement(_run.where(among(_runs.c.run_id, listed("run_ids"))), RunRow)
ADD_RUN = Statement[tuple[()]](inserting(_runs))

_of_run = _runs.c.run_id == bindparam("of_run")
RENAME = Statement[tuple[()]](
    update(_runs).where(_of_run).values(name=bindparam("name")), later=True
)
_CHANGED = ("name", "status", "end_ms", "revision", "last_heartbeat_ms")
CHANGE_RUN = Statement[tuple[()]](
    update(_runs).where(_of_run).values({name: bindparam(name) for name in _CHANGED}), later=True
)
_of_active_run = (
    update(_runs)
    .where(_of_run, _runs.c.lifecycle_stage == Lifecycle.ACTIVE)
    .returning(_runs.c.experiment_id)
)
MARK_CHANGED = Statement[tuple[int]](
    _of_active_run.values(
        revision=_runs.c.revision + 1,
        # NULL, without heartbeats, stays NULL.
        last_heartbeat_ms=case(
            (_runs.c.last_heartbeat_ms < bindparam("stale_ms"), bindparam("now_ms")),
            else_=_runs.c.last_heartbeat_ms,
        ),
    ),
    restrictions=RESTRICTIONS,
)
MARK_ALIVE = Statement[tuple[int]](
    _of_active_run.values(
        last_heartbeat_ms=case(
            (_runs.c.status == RunStatus.RUNNING, bindparam("now_ms")),
            else_=_runs.c.last_heartbeat_ms,
        )
    ),
    restrictions=RESTRICTIONS,
)
EXPERIMENT_STAGE = Statement[tuple[str]](
    select(_experiments.c.lifecycle_stage)
    .where(_experiments.c.experiment_id == bindparam("experiment_id"))
    .with_for_update(**SHARED),
    restrictions=RESTRICTIONS,
)
"""Locked, so that a concurrent deletion of the experiment does not miss a run in it."""
