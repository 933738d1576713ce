"""Restriction of queries to the experiments in the scope of the caller's token."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from modelyard_kit.auth.scope import Scope, matches
from modelyard_tracking.models import Dataset, DatasetInput, Experiment, LoggedModel, Run


def restriction(scope: Scope) -> Sequence[ExecutableOption]:
    """Return loader options that hide experiments outside the scope, and their contents.

    Other tables need no option: their rows are read by the id of a run or logged model that was
    looked up before.
    """
    if not scope.experiments:
        return ()
    named = matches(Experiment.name.expression, scope.experiments)
    visible = select(Experiment.experiment_id).where(named).scalar_subquery()
    inside = [
        with_loader_criteria(table, table.experiment_id.in_(visible), include_aliases=True)
        for table in (Run, LoggedModel, Dataset, DatasetInput)
    ]
    return [with_loader_criteria(Experiment, named, include_aliases=True), *inside]
