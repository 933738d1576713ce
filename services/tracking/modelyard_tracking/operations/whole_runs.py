"""Reading runs with their logged data, in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import sqlalchemy
from sqlalchemy import (
    BindParameter,
    Column,
    Row,
    Select,
    Table,
    bindparam,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from modelyard_tracking.models import (
    Dataset,
    DatasetInput,
    DatasetInputTag,
    LatestMetric,
    ModelInput,
    ModelOutput,
    Param,
    Run,
    RunTag,
)


@dataclass(slots=True)
class WholeRun:
    """A run with the rows of its logged data, in the order of the reply."""

    run: Run
    metrics: list[Row[Any]] = field(default_factory=list)
    """Latest point of each metric."""
    params: list[Row[Any]] = field(default_factory=list)
    tags: list[Row[Any] | RunTag] = field(default_factory=list)
    datasets: list[Row[Any]] = field(default_factory=list)
    labels: list[Row[Any]] = field(default_factory=list)
    """Tags of dataset inputs."""
    model_inputs: list[Row[Any]] = field(default_factory=list)
    model_outputs: list[Row[Any]] = field(default_factory=list)

    def sort(self) -> None:
        for keyed in (self.metrics, self.params, self.tags, self.labels):
            keyed.sort(key=lambda row: row.key)
        self.datasets.sort(key=lambda row: (row.dataset_name, row.dataset_digest))
        self.model_inputs.sort(key=lambda row: row.model_id)
        self.model_outputs.sort(key=lambda row: (row.step, row.model_id))


_metrics, _params, _tags, _datasets, _uses, _labels, _inputs, _outputs = (
    cast(Table, model.__table__)
    for model in (
        LatestMetric,
        Param,
        RunTag,
        Dataset,
        DatasetInput,
        DatasetInputTag,
        ModelInput,
        ModelOutput,
    )
)
_COLUMNS: dict[str, Column[Any]] = {
    "key": _metrics.c.key,
    "value": _params.c.value,
    "step": _metrics.c.step,
    "timestamp_ms": _metrics.c.timestamp_ms,
    "number": _metrics.c.value,
    "is_nan": _metrics.c.is_nan,
    "model_id": _metrics.c.model_id,
    "dataset_name": _metrics.c.dataset_name,
    "dataset_digest": _metrics.c.dataset_digest,
    "source_type": _datasets.c.source_type,
    "source": _datasets.c.source,
    "schema": _datasets.c.schema,
    "profile": _datasets.c.profile,
}
"""Columns of the statement's rows, with the table columns that define their types."""
_run_ids: BindParameter[Any] = bindparam("run_ids", expanding=True)


def _rows(kind: str, table: Table, *names: str, **renamed: Column[Any]) -> Select[Any]:
    """Select columns of a table for given runs, and NULL for the other columns of the statement."""
    taken = {name: table.c[name] for name in names} | renamed
    values = [
        # PostgreSQL types NULL as text without the cast.
        (taken[name] if name in taken else sqlalchemy.cast(null(), like.type)).label(name)
        for name, like in _COLUMNS.items()
    ]
    of_runs = table.c.run_id.in_(_run_ids)
    return select(literal(kind, literal_execute=True).label("kind"), table.c.run_id, *values).where(
        of_runs
    )


# Built once, with rows instead of entities: every get and search of runs executes it.
_ALL_LOGGED = union_all(
    _rows(
        "metrics",
        _metrics,
        *("key", "step", "timestamp_ms", "is_nan"),
        *("model_id", "dataset_name", "dataset_digest"),
        number=_metrics.c.value,
    ),
    _rows("params", _params, "key", "value"),
    _rows("tags", _tags, "key", "value"),
    _rows(
        "datasets",
        _uses,
        dataset_name=_uses.c.name,
        dataset_digest=_uses.c.digest,
        source_type=_datasets.c.source_type,
        source=_datasets.c.source,
        schema=_datasets.c.schema,
        profile=_datasets.c.profile,
    ).join_from(_uses, _datasets),
    _rows(
        "labels",
        _labels,
        *("key", "value"),
        dataset_name=_labels.c.name,
        dataset_digest=_labels.c.digest,
    ),
    _rows("model_inputs", _inputs, "model_id"),
    _rows("model_outputs", _outputs, "model_id", "step"),
)


def whole_runs(session: Session, found: Sequence[Run]) -> list[WholeRun]:
    """Return runs with their logged data."""
    whole = {run.run_id: WholeRun(run) for run in found}
    for row in session.connection().execute(_ALL_LOGGED, {"run_ids": list(whole)}):
        kind, run_id = row[:2]
        getattr(whole[run_id], kind).append(row)
    for run in whole.values():
        run.sort()
    return list(whole.values())
