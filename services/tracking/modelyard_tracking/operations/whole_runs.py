"""Reading runs with their logged data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from modelyard_kit.db.rows import Rows
from modelyard_tracking.statements.logged import (
    LOGGED_OF_RUN,
    LOGGED_OF_RUNS,
    DatasetRow,
    KeyedRow,
    LabelRow,
    MetricRow,
    ModelInputRow,
    ModelOutputRow,
)
from modelyard_tracking.statements.runs import RUN, RUNS, RunRow


@dataclass(slots=True)
class WholeRun:
    """A run with the rows of its logged data, in the order of the reply."""

    run: RunRow
    metrics: list[MetricRow] = field(default_factory=list)
    """Latest point of each metric."""
    params: list[KeyedRow] = field(default_factory=list)
    tags: list[KeyedRow] = field(default_factory=list)
    datasets: list[DatasetRow] = field(default_factory=list)
    labels: list[LabelRow] = field(default_factory=list)
    """Tags of dataset inputs."""
    model_inputs: list[ModelInputRow] = field(default_factory=list)
    model_outputs: list[ModelOutputRow] = field(default_factory=list)


def whole_run(rows: Rows, run_id: str) -> WholeRun | None:
    """Return a run with its logged data; None if there is no such run."""
    values = {"run_id": run_id}
    statements = [RUN, *LOGGED_OF_RUN.values()]
    found, *logged = rows.execute_all([(statement, values) for statement in statements], last=True)
    if not found:
        return None
    return WholeRun(found[0], **dict(zip(LOGGED_OF_RUN, logged, strict=True)))


def whole_runs(rows: Rows, run_ids: Sequence[str]) -> list[WholeRun]:
    """Return existing runs with their logged data, in the given order."""
    values = {"run_ids": run_ids}
    statements = [RUNS, *LOGGED_OF_RUNS.values()]
    found, *logged = rows.execute_all([(statement, values) for statement in statements])
    by_id = {run.run_id: WholeRun(run) for run in found}
    for name, rows_of_table in zip(LOGGED_OF_RUNS, logged, strict=True):
        of_run = {run_id: getattr(whole, name) for run_id, whole in by_id.items()}
        for row in rows_of_table:
            of_run[row[0]].append(row)
    return [by_id[run_id] for run_id in run_ids]
