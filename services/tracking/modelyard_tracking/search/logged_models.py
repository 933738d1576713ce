"""Searching logged models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, true
from sqlalchemy.orm import Session

from modelyard_kit.db import paging
from modelyard_kit.db.paging import SortKey
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters import (
    Comparison,
    number_condition,
    parse,
    parse_order_by,
    text_condition,
    where,
)
from modelyard_tracking.models import (
    LatestModelMetric,
    LoggedModel,
    LoggedModelParam,
    LoggedModelTag,
)
from modelyard_tracking.rules.states import Lifecycle
from modelyard_tracking.rules.values import experiment_number
from modelyard_tracking.search.conditions import (
    EXCLUDING,
    keyed_number,
    keyed_text,
    refuse_key,
)
from modelyard_tracking.search.pages import Page, read_page

_ATTRIBUTES = (None, "attributes", "attribute", "attr")
_TEXTS: dict[str, ColumnElement[Any]] = {
    "name": LoggedModel.name.expression,
    "model_id": LoggedModel.model_id.expression,
    "model_type": LoggedModel.model_type.expression,
    "status": LoggedModel.status.expression,
    "source_run_id": LoggedModel.source_run_id.expression,
}
_NUMBERS: dict[str, ColumnElement[Any]] = {
    **dict.fromkeys(
        ("creation_timestamp", "creation_timestamp_ms", "creation_time"),
        LoggedModel.created_ms.expression,
    ),
    **dict.fromkeys(
        ("last_updated_timestamp", "last_updated_timestamp_ms", "last_updated_time"),
        LoggedModel.updated_ms.expression,
    ),
}


@dataclass(frozen=True, slots=True)
class OnDataset:
    """A dataset that a metric was computed on; an empty name or digest matches any."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class ModelOrder:
    """A sort key; without a dataset, a metric's latest value on any dataset is used."""

    field: str
    ascending: bool
    dataset: OnDataset | None


def search_logged_models(
    session: Session,
    experiment_ids: Sequence[str],
    text: str,
    datasets: Sequence[OnDataset],
    order_by: Sequence[ModelOrder],
    page_size: int,
    page_token: str,
) -> Page[LoggedModel]:
    """Return a page of logged models.

    Args:
        session: Session of the transaction.
        experiment_ids: Experiments to search; none if empty.
        text: Filter; blank matches everything.
        datasets: Datasets that metrics in the filter were computed on, and on one of which each
            model found has a metric; any if empty.
        order_by: Sort keys; ties are ordered newest first.
        page_size: Maximum number of results.
        page_token: Page token from the previous page; empty for the first page.
    """
    numbers = [experiment_number(experiment_id) for experiment_id in experiment_ids]
    query = paging.fingerprint(
        "logged models", sorted(numbers), text, [str(d) for d in datasets], [*map(str, order_by)]
    )
    statement: Select[Any] = select(LoggedModel).where(
        LoggedModel.experiment_id.in_(numbers), LoggedModel.lifecycle_stage == Lifecycle.ACTIVE
    )
    if datasets:
        statement = statement.where(
            exists().where(
                LatestModelMetric.model_id == LoggedModel.model_id, or_(*map(_on, datasets))
            )
        )
    tree = parse(text)
    if tree is not None:
        statement = statement.where(where(tree, lambda term: _condition(term, datasets)))
    keys = [_sort_key(order) for order in order_by]
    keys += [
        SortKey(LoggedModel.created_ms.expression, ascending=False, nullable=False),
        SortKey(LoggedModel.number.expression, ascending=False, nullable=False),
    ]
    return read_page(session, statement, keys, query, page_size, page_token)


def _condition(comparison: Comparison, datasets: Sequence[OnDataset]) -> ColumnElement[bool]:
    key = comparison.key
    match comparison.entity:
        case "metrics":
            return keyed_number(
                LatestModelMetric.value.expression,
                LatestModelMetric.is_nan.expression,
                comparison,
                LatestModelMetric.model_id == LoggedModel.model_id,
                LatestModelMetric.key == key,
                *([or_(*map(_on, datasets))] if datasets else ()),
            )
        case "params":
            return keyed_text(
                LoggedModelParam.value.expression,
                comparison,
                LoggedModelParam.model_id == LoggedModel.model_id,
                LoggedModelParam.key == key,
            )
        case "tags":
            return keyed_text(
                LoggedModelTag.value.expression,
                comparison,
                LoggedModelTag.model_id == LoggedModel.model_id,
                LoggedModelTag.key == key,
            )
    _require_attribute(comparison.entity, key)
    if key == "source_run_id" and comparison.operator in EXCLUDING:
        # A missing run differs from every other, as MLflow's "" does.
        return text_condition(func.coalesce(_TEXTS[key], ""), comparison)
    if key in _TEXTS:
        return text_condition(_TEXTS[key], comparison)
    return number_condition(_NUMBERS[key], comparison)


def _sort_key(order: ModelOrder) -> SortKey:
    # Parsed by the filter grammar, because fields are written as in a filter.
    parsed = parse_order_by(order.field)
    if parsed.entity == "metrics":
        return _metric_key(parsed.key, order)
    _require_attribute(parsed.entity, parsed.key)
    column = {**_TEXTS, **_NUMBERS}[parsed.key]
    return SortKey(column, order.ascending, nullable=parsed.key == "source_run_id")


def _metric_key(key: str, order: ModelOrder) -> SortKey:
    def latest(column: ColumnElement[Any]) -> ColumnElement[Any]:
        return (
            select(column)
            .where(
                LatestModelMetric.model_id == LoggedModel.model_id,
                LatestModelMetric.key == key,
                *([_on(order.dataset)] if order.dataset else ()),
            )
            .order_by(
                LatestModelMetric.timestamp_ms.desc(),
                LatestModelMetric.step.desc(),
                LatestModelMetric.dataset_name,
                LatestModelMetric.dataset_digest,
            )
            .limit(1)
            .scalar_subquery()
        )

    return SortKey(
        latest(LatestModelMetric.value.expression),
        order.ascending,
        nan=latest(LatestModelMetric.is_nan.expression),
    )


def _on(dataset: OnDataset) -> ColumnElement[bool]:
    given = (
        (LatestModelMetric.dataset_name, dataset.name),
        (LatestModelMetric.dataset_digest, dataset.digest),
    )
    return and_(true(), *(column == value for column, value in given if value))


def _require_attribute(entity: str | None, key: str) -> None:
    if entity not in _ATTRIBUTES:
        raise InvalidArgument(
            f"Invalid entity type '{entity}' in '{entity}.{key}'. "
            "Valid values are metrics, params, tags and attributes."
        )
    if key not in _TEXTS and key not in _NUMBERS:
        refuse_key(key, (*_TEXTS, *_NUMBERS))
