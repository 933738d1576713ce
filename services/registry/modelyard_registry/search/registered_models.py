"""Searches of models and versions: filters and orders as SQL, one page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, not_, select
from sqlalchemy.orm import Session, joinedload, selectinload

from modelyard_kit.db import paging
from modelyard_kit.db.paging import SortKey
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters import (
    TEXT_OPERATORS,
    Comparison,
    Operator,
    OrderBy,
    number_condition,
    parse,
    parse_order_by,
    require_operator,
    text_condition,
    where,
)
from modelyard_kit.references.names import is_number, version_number
from modelyard_kit.references.stages import Stage
from modelyard_registry.models import (
    ModelAlias,
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
)

_ATTRIBUTES = {None, "attribute", "attributes", "attr"}
_TAGS = {"tag", "tags"}

Condition = Callable[[Comparison], ColumnElement[bool]]


@dataclass(frozen=True)
class Search:
    """The parameters of a search.

    Args:
        filter: Filter in the grammar of `modelyard_kit.filters`; blank matches everything.
        order_by: Sort keys, each with an optional direction.
        page_size: Maximum number of results.
        page_token: Page token from the previous page; empty for the first page.
    """

    filter: str
    order_by: Sequence[str]
    page_size: int
    page_token: str


def search_models(session: Session, search: Search) -> tuple[Sequence[RegisteredModel], str]:
    """Return a page of models, by name unless ordered otherwise, and the next page token."""
    keys = _keys(search, _MODEL_ORDER, [SortKey(RegisteredModel.name.expression, nullable=False)])
    rows = select(RegisteredModel).options(
        selectinload(RegisteredModel.tags), selectinload(RegisteredModel.aliases)
    )
    return _page(session, rows, search, keys, _model_condition)


def search_versions(session: Session, search: Search) -> tuple[Sequence[ModelVersion], str]:
    """Return a page of versions, last change first by default, and the next page token.

    Ties are ordered by name, then by version, highest first, as in MLflow.
    """
    last_change = SortKey(ModelVersion.updated_ms.expression, ascending=False, nullable=False)
    default = [
        *([] if search.order_by else [last_change]),
        SortKey(ModelVersion.name.expression, nullable=False),
        SortKey(ModelVersion.version.expression, ascending=False, nullable=False),
    ]
    keys = _keys(search, _VERSION_ORDER, default)
    rows = select(ModelVersion).options(
        selectinload(ModelVersion.tags),
        selectinload(ModelVersion.aliases),
        joinedload(ModelVersion.damaged),
    )
    return _page(session, rows, search, keys, _version_condition)


def _page(
    session: Session,
    rows: Select[Any],
    search: Search,
    keys: Sequence[SortKey],
    condition: Condition,
) -> tuple[Sequence[Any], str]:
    tree = parse(search.filter)
    if tree is not None:
        rows = rows.where(where(tree, condition))
    subject = rows.column_descriptions[0]["name"]
    query = paging.fingerprint(subject, search.filter, list(search.order_by))
    cursor = paging.decode(search.page_token, query)
    if cursor is not None:
        rows = rows.where(paging.after(keys, cursor))
    rows = rows.add_columns(*paging.key_columns(keys)).order_by(*paging.order_clauses(keys))
    found = session.execute(rows.limit(search.page_size + 1)).all()
    page, next_page_token = paging.cut(found, search.page_size, keys, query)
    return [row[0] for row in page], next_page_token


def _keys(
    search: Search, columns: Mapping[str, ColumnElement[Any]], default: Sequence[SortKey]
) -> Sequence[SortKey]:
    asked = [_sort_key(parse_order_by(text), columns) for text in search.order_by]
    keys: list[SortKey] = []
    for key in (*asked, *default):
        if all(key.expression is not earlier.expression for earlier in keys):
            keys.append(key)
    return keys


def _sort_key(order: OrderBy, columns: Mapping[str, ColumnElement[Any]]) -> SortKey:
    column = columns.get(order.key) if order.entity in _ATTRIBUTES else None
    if column is None:
        raise InvalidArgument(
            f"Invalid order_by key '{order.key}'; use one of {', '.join(columns)}, "
            "each optionally followed by ASC or DESC.",
            key=order.key,
        )
    return SortKey(column, order.ascending)


def _model_condition(comparison: Comparison) -> ColumnElement[bool]:
    if comparison.entity in _TAGS:
        tag = select(RegisteredModelTag.value).where(
            RegisteredModelTag.name == RegisteredModel.name,
            RegisteredModelTag.key == comparison.key,
        )
        return _tag_condition(tag.correlate(RegisteredModel).scalar_subquery(), comparison)
    return _attribute_condition(comparison, _MODEL_CONDITIONS)


def _version_condition(comparison: Comparison) -> ColumnElement[bool]:
    if comparison.entity in _TAGS:
        tag = select(ModelVersionTag.value).where(
            ModelVersionTag.name == ModelVersion.name,
            ModelVersionTag.version == ModelVersion.version,
            ModelVersionTag.key == comparison.key,
        )
        return _tag_condition(tag.correlate(ModelVersion).scalar_subquery(), comparison)
    return _attribute_condition(comparison, _VERSION_CONDITIONS)


def _tag_condition(value: ColumnElement[Any], comparison: Comparison) -> ColumnElement[bool]:
    # MLflow's clients add `!= 'true'` to each search of models, to exclude prompts. A model without
    # the tag is not a prompt.
    if comparison.key == _PROMPT_TAG:
        value = func.coalesce(value, "false")
    return text_condition(value, comparison)


def _attribute_condition(
    comparison: Comparison, conditions: Mapping[str, Condition]
) -> ColumnElement[bool]:
    condition = conditions.get(comparison.key) if comparison.entity in _ATTRIBUTES else None
    if condition is None:
        raise InvalidArgument(
            f"Invalid filter key '{comparison.subject}'; use one of {', '.join(conditions)} "
            "or tags.<key>.",
            key=comparison.subject,
        )
    return condition(comparison)


def _text(column: ColumnElement[Any]) -> Condition:
    return lambda comparison: text_condition(column, comparison)


def _optional_text(column: ColumnElement[Any]) -> Condition:
    """Return a condition in which a missing text differs from every other, as MLflow's "" does."""

    def condition(comparison: Comparison) -> ColumnElement[bool]:
        excludes = comparison.operator in (Operator.NE, Operator.NOT_IN)
        return text_condition(func.coalesce(column, "") if excludes else column, comparison)

    return condition


def _number(column: ColumnElement[Any]) -> Condition:
    return lambda comparison: number_condition(column, comparison)


def _version_condition_of_number(comparison: Comparison) -> ColumnElement[bool]:
    # Replies contain versions as text, so clients quote them in filters.
    return number_condition(ModelVersion.version.expression, _converted(comparison, _unquoted))


def _stage_condition(comparison: Comparison) -> ColumnElement[bool]:
    patterns = (Operator.LIKE, Operator.ILIKE)
    if comparison.operator not in patterns:
        comparison = _converted(comparison, _canonical_stage)
    return text_condition(ModelVersion.stage.expression, comparison)


def _alias_condition(comparison: Comparison) -> ColumnElement[bool]:
    """Match versions with an alias that satisfies the comparison; negated, versions without one."""
    require_operator(comparison, TEXT_OPERATORS)
    opposites = {
        Operator.NE: Operator.EQ,
        Operator.NOT_IN: Operator.IN,
        Operator.IS_NULL: Operator.IS_NOT_NULL,
    }
    positive = opposites.get(comparison.operator)
    if positive is not None:
        return not_(_alias_condition(replace(comparison, operator=positive)))
    return exists().where(
        and_(
            ModelAlias.name == ModelVersion.name,
            ModelAlias.version == ModelVersion.version,
            text_condition(ModelAlias.alias.expression, comparison),
        )
    )


def _converted(comparison: Comparison, convert: Callable[[Any], Any]) -> Comparison:
    value = comparison.value
    if value is None:
        return comparison
    converted = tuple(map(convert, value)) if isinstance(value, tuple) else convert(value)
    return replace(comparison, value=converted)


def _unquoted(value: float | str) -> float | str:
    return version_number(value) if isinstance(value, str) and is_number(value) else value


def _canonical_stage(value: float | str) -> float | str:
    return Stage.parse(value) if isinstance(value, str) else value


_PROMPT_TAG = "mlflow.prompt.is_prompt"
_MODEL_ORDER: Mapping[str, ColumnElement[Any]] = {
    "name": RegisteredModel.name.expression,
    "timestamp": RegisteredModel.updated_ms.expression,
    "last_updated_timestamp": RegisteredModel.updated_ms.expression,
    "creation_timestamp": RegisteredModel.created_ms.expression,
    "user_id": RegisteredModel.user_id.expression,
}
_MODEL_CONDITIONS: Mapping[str, Condition] = {
    "name": _text(RegisteredModel.name.expression),
    "description": _optional_text(RegisteredModel.description.expression),
    "user_id": _text(RegisteredModel.user_id.expression),
    "creation_timestamp": _number(RegisteredModel.created_ms.expression),
    "last_updated_timestamp": _number(RegisteredModel.updated_ms.expression),
}
_VERSION_ORDER: Mapping[str, ColumnElement[Any]] = {
    "name": ModelVersion.name.expression,
    "version_number": ModelVersion.version.expression,
    "version": ModelVersion.version.expression,
    "creation_timestamp": ModelVersion.created_ms.expression,
    "last_updated_timestamp": ModelVersion.updated_ms.expression,
    "timestamp": ModelVersion.updated_ms.expression,
    "current_stage": ModelVersion.stage.expression,
    "stage": ModelVersion.stage.expression,
    "status": ModelVersion.status.expression,
    "run_id": ModelVersion.run_id.expression,
    "user_id": ModelVersion.user_id.expression,
}
_VERSION_CONDITIONS: Mapping[str, Condition] = {
    "name": _text(ModelVersion.name.expression),
    "version_number": _version_condition_of_number,
    "version": _version_condition_of_number,
    "current_stage": _stage_condition,
    "stage": _stage_condition,
    "alias": _alias_condition,
    "aliases": _alias_condition,
    "status": _text(ModelVersion.status.expression),
    "run_id": _optional_text(ModelVersion.run_id.expression),
    "experiment_id": _optional_text(ModelVersion.experiment_id.expression),
    "model_id": _optional_text(ModelVersion.model_id.expression),
    "source_path": _text(ModelVersion.source.expression),
    "digest": _optional_text(ModelVersion.digest.expression),
    "description": _optional_text(ModelVersion.description.expression),
    "user_id": _text(ModelVersion.user_id.expression),
    "creation_timestamp": _number(ModelVersion.created_ms.expression),
    "last_updated_timestamp": _number(ModelVersion.updated_ms.expression),
}
