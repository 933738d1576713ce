"""Statements that read runs with their logged data: one for each table, in the order of replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from sqlalchemy import ColumnElement, Select, Table, bindparam, case, null, select

from modelyard_kit.db.statements import Statement, among, listed
from modelyard_tracking.models import (
    Dataset,
    DatasetInput,
    DatasetInputTag,
    LatestMetric,
    ModelInput,
    ModelOutput,
    Param,
    RunTag,
)

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

MetricRow: TypeAlias = tuple[str, str, float | None, int, int, str, str, str]
"""Latest point of a metric: run, key, value (None if NaN), timestamp, step, logged model, name and
digest of a dataset."""
KeyedRow: TypeAlias = tuple[str, str, str]
"""A param or tag: run, key and value."""
DatasetRow: TypeAlias = tuple[str, str, str, str, str, str, str]
"""Run, name, digest, source type, source, schema and profile of an input dataset."""
LabelRow: TypeAlias = tuple[str, str, str, str, str]
"""Run, name and digest of an input dataset, key and value of a tag of this input."""
ModelInputRow: TypeAlias = tuple[str, str]
"""Run and logged model."""
ModelOutputRow: TypeAlias = tuple[str, str, int]
"""Run, logged model and step."""


def _of(
    owned: Callable[[Table], ColumnElement[bool]],
) -> Mapping[str, Statement[Any]]:
    """Return the statements by the attribute of a whole run that has their rows."""

    def rows(table: Table, *columns: str, by: tuple[str, ...]) -> Select[Any]:
        selected = select(table.c.run_id, *(table.c[name] for name in columns))
        return selected.where(owned(table)).order_by(
            table.c.run_id, *(table.c[name] for name in by)
        )

    number = case((_metrics.c.is_nan, null()), else_=_metrics.c.value)
    dataset = (_datasets.c.source_type, _datasets.c.source, _datasets.c.schema, _datasets.c.profile)
    selects = {
        "metrics": rows(_metrics, "key", by=("key",)).add_columns(
            number,
            *(_metrics.c[name] for name in ("timestamp_ms", "step")),
            *(_metrics.c[name] for name in ("model_id", "dataset_name", "dataset_digest")),
        ),
        "params": rows(_params, "key", "value", by=("key",)),
        "tags": rows(_tags, "key", "value", by=("key",)),
        "datasets": rows(_uses, "name", "digest", by=("name", "digest"))
        .add_columns(*dataset)
        .join_from(_uses, _datasets),
        "labels": rows(_labels, "name", "digest", "key", "value", by=("key",)),
        "model_inputs": rows(_inputs, "model_id", by=("model_id",)),
        "model_outputs": rows(_outputs, "model_id", "step", by=("step", "model_id")),
    }
    return MappingProxyType({name: Statement(source) for name, source in selects.items()})


LOGGED_OF_RUN: Final = _of(lambda table: table.c.run_id == bindparam("run_id"))
LOGGED_OF_RUNS: Final = _of(lambda table: among(table.c.run_id, listed("run_ids")))
