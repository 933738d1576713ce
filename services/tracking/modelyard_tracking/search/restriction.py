"""Restriction of queries to the experiments in the scope of the caller's token.

Other tables need none: their rows are read by the id of a run or logged model that was looked up
before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from modelyard_kit.auth.scope import Restriction, Scope
from modelyard_kit.db.statements import Restrictions, matches
from modelyard_tracking.models import Dataset, DatasetInput, Experiment, LoggedModel, Run

_INSIDE_EXPERIMENTS = (Run, LoggedModel, Dataset, DatasetInput)


def _options(scope: Scope) -> Sequence[ExecutableOption]:
    """Return loader options that hide experiments outside the scope, and their contents."""
    if not scope.experiments:
        return ()
    named = matches(Experiment.name.expression, scope.experiments)
    visible = select(Experiment.experiment_id).where(named).scalar_subquery()
    inside = [
        with_loader_criteria(table, table.experiment_id.in_(visible), include_aliases=True)
        for table in _INSIDE_EXPERIMENTS
    ]
    return [with_loader_criteria(Experiment, named, include_aliases=True), *inside]


def _experiments(scope: Scope) -> Sequence[str]:
    return scope.experiments


RESTRICTION: Final = Restriction(_options, _experiments)
"""Restriction of transactions of the ORM."""


def _is_named(experiments: Any) -> ColumnElement[bool]:
    return matches(experiments.c.name)


def _is_inside(rows: Any) -> ColumnElement[bool]:
    named = select(Experiment.experiment_id).where(matches(Experiment.name.expression))
    return rows.c.experiment_id.in_(named)  # type: ignore[no-any-return]  # rows is any table


RESTRICTIONS: Final[Restrictions] = {
    Experiment.__table__: _is_named,
    **{table.__table__: _is_inside for table in _INSIDE_EXPERIMENTS},
}
"""The same restriction for statements of the driver."""
