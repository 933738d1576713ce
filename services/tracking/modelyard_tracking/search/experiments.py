"""Searching experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from modelyard_kit.db import paging
from modelyard_kit.db.paging import SortKey
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters import (
    Comparison,
    Operator,
    number_condition,
    parse,
    require_operator,
    text_condition,
    where,
)
from modelyard_tracking.models import Experiment, ExperimentTag
from modelyard_tracking.rules.states import View
from modelyard_tracking.rules.values import experiment_number
from modelyard_tracking.search.conditions import keyed_text, orders, refuse_key
from modelyard_tracking.search.pages import Page, read_page

_ATTRIBUTES = (None, "attributes", "attribute", "attr")
_TAGS = ("tags", "tag")
_COLUMNS: dict[str, ColumnElement[Any]] = {
    "name": Experiment.name.expression,
    "experiment_id": Experiment.experiment_id.expression,
    "creation_time": Experiment.created_ms.expression,
    "last_update_time": Experiment.updated_ms.expression,
}


def search_experiments(
    session: Session,
    text: str,
    order_by: Sequence[str],
    view: View,
    page_size: int,
    page_token: str,
) -> Page[Experiment]:
    """Return a page of experiments.

    Args:
        session: Session of the transaction.
        text: Filter by `name`, `experiment_id`, `creation_time`, `last_update_time` and `tags.k`;
            blank matches everything.
        order_by: Sort keys, the same without tags; ties are ordered newest first, then by id.
        view: Active experiments, deleted experiments, or both.
        page_size: Maximum number of results.
        page_token: Page token from the previous page; empty for the first page.
    """
    query = paging.fingerprint("experiments", text, list(order_by), view)
    statement: Select[Any] = select(Experiment).where(Experiment.lifecycle_stage.in_(view.stages))
    tree = parse(text)
    if tree is not None:
        statement = statement.where(where(tree, _condition))
    keys = [_sort_key(order.entity, order.key, order.ascending) for order in orders(order_by)]
    keys += [
        SortKey(Experiment.created_ms.expression, ascending=False, nullable=False),
        SortKey(Experiment.experiment_id.expression, nullable=False),
    ]
    return read_page(session, statement, keys, query, page_size, page_token)


def _condition(comparison: Comparison) -> ColumnElement[bool]:
    if comparison.entity in _TAGS:
        return keyed_text(
            ExperimentTag.value.expression,
            comparison,
            ExperimentTag.experiment_id == Experiment.experiment_id,
            ExperimentTag.key == comparison.key,
        )
    column = _column(comparison.entity, comparison.key)
    if comparison.key == "name":
        return text_condition(column, comparison)
    if comparison.key == "experiment_id":
        return number_condition(column, _with_numbers(comparison))
    return number_condition(column, comparison)


def _with_numbers(comparison: Comparison) -> Comparison:
    """Return a comparison of experiment ids, which are text, as one of numbers."""
    require_operator(comparison, (Operator.EQ, Operator.NE, Operator.IN, Operator.NOT_IN))
    values = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
    numbers = tuple(experiment_number(str(value)) for value in values)
    is_list = isinstance(comparison.value, tuple)
    return replace(comparison, value=numbers if is_list else numbers[0])


def _sort_key(entity: str | None, key: str, ascending: bool) -> SortKey:  # noqa: FBT001 - as parsed
    return SortKey(_column(entity, key), ascending, nullable=False)


def _column(entity: str | None, key: str) -> ColumnElement[Any]:
    if entity not in _ATTRIBUTES:
        raise InvalidArgument(
            f"Invalid entity type '{entity}' in '{entity}.{key}'. "
            "Valid values are attributes and tags."
        )
    if key not in _COLUMNS:
        refuse_key(key, _COLUMNS)
    return _COLUMNS[key]
