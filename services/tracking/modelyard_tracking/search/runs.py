"""Searching runs with MLflow's grammar, extended by OR, NOT, parentheses and IN."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, case, cast, literal, select
from sqlalchemy.orm import Session, aliased

from modelyard_kit.db import paging
from modelyard_kit.db.paging import SortKey
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters import (
    Comparison,
    Operator,
    OrderBy,
    number_condition,
    parse,
    text_condition,
    where,
)
from modelyard_tracking.models import (
    DatasetInput,
    DatasetInputTag,
    LatestMetric,
    Param,
    Run,
    RunTag,
)
from modelyard_tracking.rules.heartbeats import LOST_AFTER_MS
from modelyard_tracking.rules.states import RunStatus, View
from modelyard_tracking.rules.values import ARTIFACT_ROOT, CONTEXT_TAG, experiment_number
from modelyard_tracking.search.conditions import keyed_number, keyed_text, orders, refuse_key
from modelyard_tracking.search.pages import Page, read_page

_ENTITIES: dict[str | None, str] = {
    None: "attributes",
    **dict.fromkeys(("attributes", "attribute", "attr", "run"), "attributes"),
    **dict.fromkeys(("metrics", "metric"), "metrics"),
    **dict.fromkeys(("params", "param", "parameters", "parameter"), "params"),
    **dict.fromkeys(("tags", "tag"), "tags"),
    **dict.fromkeys(("datasets", "dataset"), "datasets"),
}
_ALIASES = {
    "created": "start_time",
    "Created": "start_time",
    "run name": "run_name",
    "Run name": "run_name",
    "Run Name": "run_name",
}
_ARTIFACT_URI = (
    literal(ARTIFACT_ROOT, String())
    + cast(Run.experiment_id, String())
    + literal("/", String())
    + Run.run_id
    + literal("/artifacts", String())
)
_TEXTS: dict[str, ColumnElement[Any]] = {
    "run_id": Run.run_id.expression,
    "run_name": Run.name.expression,
    "user_id": Run.user_id.expression,
    "status": Run.status.expression,
    "artifact_uri": _ARTIFACT_URI,
}
_NUMBERS: dict[str, ColumnElement[Any]] = {
    "start_time": Run.start_ms.expression,
    "end_time": Run.end_ms.expression,
    "last_heartbeat_time": Run.last_heartbeat_ms.expression,
}
_LOST_SINCE = "lost_since"
_NULLABLE = {"end_time", "last_heartbeat_time", _LOST_SINCE}


def search_runs(
    session: Session,
    experiment_ids: Sequence[str],
    text: str,
    order_by: Sequence[str],
    view: View,
    page_size: int,
    page_token: str,
    now_ms: int,
) -> Page[str]:
    """Return a page of ids of runs.

    Args:
        session: Session of the transaction.
        experiment_ids: Experiments to search; none if empty.
        text: Filter; blank matches everything.
        order_by: Sort keys such as `metrics.loss DESC`; ties are ordered latest start first, then
            by id.
        view: Active runs, deleted runs, or both.
        page_size: Maximum number of results.
        page_token: Page token from the previous page; empty for the first page.
        now_ms: Time of the server, which decides on lost runs. Unix time in milliseconds.
    """
    numbers = [experiment_number(experiment_id) for experiment_id in experiment_ids]
    query = paging.fingerprint("runs", sorted(numbers), text, list(order_by), view)
    statement: Select[Any] = select(Run.run_id).where(
        Run.experiment_id.in_(numbers), Run.lifecycle_stage.in_(view.stages)
    )
    tree = parse(text)
    if tree is not None:
        statement = statement.where(where(tree, partial(_condition, now_ms)))
    keys: list[SortKey] = []
    for order in orders(order_by):
        statement, key = _ordered(statement, order, now_ms)
        keys.append(key)
    keys += [
        SortKey(Run.start_ms.expression, ascending=False, nullable=False),
        SortKey(Run.run_id.expression, nullable=False),
    ]
    return read_page(session, statement, keys, query, page_size, page_token)


def _condition(now_ms: int, comparison: Comparison) -> ColumnElement[bool]:
    key = comparison.key
    match _entity(comparison.entity, comparison.subject):
        case "metrics":
            return keyed_number(
                LatestMetric.value.expression,
                LatestMetric.is_nan.expression,
                comparison,
                LatestMetric.run_id == Run.run_id,
                LatestMetric.key == key,
            )
        case "params":
            return keyed_text(
                Param.value.expression, comparison, Param.run_id == Run.run_id, Param.key == key
            )
        case "tags":
            return keyed_text(
                RunTag.value.expression, comparison, RunTag.run_id == Run.run_id, RunTag.key == key
            )
        case "datasets":
            return _dataset_condition(comparison)
        case _:
            return _attribute_condition(comparison, now_ms)


def _attribute_condition(comparison: Comparison, now_ms: int) -> ColumnElement[bool]:
    name = _ALIASES.get(comparison.key, comparison.key)
    if name == _LOST_SINCE:
        condition = number_condition(_lost_since(now_ms), comparison)
        if comparison.operator is Operator.IS_NULL:
            return condition
        return and_(Run.status == RunStatus.RUNNING, condition)  # which an index finds
    if name not in _TEXTS and name not in _NUMBERS:
        refuse_key(comparison.key, (*_TEXTS, *_NUMBERS, _LOST_SINCE))
    if name in _TEXTS:
        return text_condition(_TEXTS[name], comparison)
    return number_condition(_NUMBERS[name], comparison)


def _lost_since(now_ms: int) -> ColumnElement[Any]:
    """Express `rules.heartbeats.lost_since_ms`."""
    lost_ms = Run.last_heartbeat_ms + LOST_AFTER_MS
    return case((and_(Run.status == RunStatus.RUNNING, lost_ms < now_ms), lost_ms))


def _dataset_condition(comparison: Comparison) -> ColumnElement[bool]:
    if comparison.key == "context":
        return keyed_text(
            DatasetInputTag.value.expression,
            comparison,
            DatasetInputTag.run_id == Run.run_id,
            DatasetInputTag.key == CONTEXT_TAG,
        )
    columns = {"name": DatasetInput.name.expression, "digest": DatasetInput.digest.expression}
    if comparison.key not in columns:
        refuse_key(comparison.subject, ("datasets.name", "datasets.digest", "datasets.context"))
    return keyed_text(columns[comparison.key], comparison, DatasetInput.run_id == Run.run_id)


def _ordered(statement: Select[Any], order: OrderBy, now_ms: int) -> tuple[Select[Any], SortKey]:
    entity = _entity(order.entity, f"{order.entity}.{order.key}")
    if entity == "datasets":
        raise InvalidArgument(
            f"Invalid order_by '{order.entity}.{order.key}': runs cannot be ordered by datasets; "
            "order by metrics, params, tags or attributes."
        )
    if entity == "attributes":
        name = _ALIASES.get(order.key, order.key)
        columns = {**_TEXTS, **_NUMBERS, _LOST_SINCE: _lost_since(now_ms)}
        if name not in columns:
            refuse_key(order.key, columns)
        return statement, SortKey(columns[name], order.ascending, nullable=name in _NULLABLE)
    if entity == "metrics":
        metric = aliased(LatestMetric)
        statement = statement.outerjoin(
            metric, (metric.run_id == Run.run_id) & (metric.key == order.key)
        )
        nan = metric.is_nan.expression
        return statement, SortKey(metric.value.expression, order.ascending, nan=nan)
    table: Any = aliased(Param if entity == "params" else RunTag)
    statement = statement.outerjoin(table, (table.run_id == Run.run_id) & (table.key == order.key))
    return statement, SortKey(table.value.expression, order.ascending)


def _entity(written: str | None, subject: str) -> str:
    entity = _ENTITIES.get(written)
    if entity is None:
        raise InvalidArgument(
            f"Invalid entity type '{written}' in '{subject}'. Valid values are metrics, params, "
            "tags, attributes and datasets.",
            entity=str(written),
        )
    return entity
