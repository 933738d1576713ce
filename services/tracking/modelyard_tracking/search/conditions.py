"""Shared parts of the searches: conditions on tags, params and metrics, and sort keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from sqlalchemy import ColumnElement, and_, exists, not_, or_

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters import (
    Comparison,
    Operator,
    OrderBy,
    number_condition,
    parse_order_by,
    text_condition,
)

_PRESENCE = (Operator.IS_NULL, Operator.IS_NOT_NULL)
EXCLUDING = (Operator.NE, Operator.NOT_IN)


def keyed_text(
    value: ColumnElement[Any], comparison: Comparison, *belongs: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Compare the value of a tag or param.

    Args:
        value: Column of the value.
        comparison: Comparison to express.
        belongs: Conditions that select the row by owner and key.

    Returns:
        A condition that owners without the tag or param satisfy only by IS NULL.
    """
    return _keyed(comparison, text_condition(value, comparison), *belongs)


def keyed_number(
    value: ColumnElement[Any],
    is_nan: ColumnElement[bool],
    comparison: Comparison,
    *belongs: ColumnElement[bool],
) -> ColumnElement[bool]:
    """Compare the value of a metric, like `keyed_text`. NaN differs from every number."""
    numbers = and_(not_(is_nan), number_condition(value, comparison))
    condition = or_(is_nan, numbers) if comparison.operator in EXCLUDING else numbers
    return _keyed(comparison, condition, *belongs)


def _keyed(
    comparison: Comparison, condition: ColumnElement[bool], *belongs: ColumnElement[bool]
) -> ColumnElement[bool]:
    if comparison.operator in _PRESENCE:
        present = exists().where(*belongs)
        return present if comparison.operator is Operator.IS_NOT_NULL else not_(present)
    return exists().where(*belongs, condition)


def orders(texts: Iterable[str]) -> list[OrderBy]:
    """Parse sort keys; a repeated key has no effect and is left out."""
    found: dict[tuple[str | None, str], OrderBy] = {}
    for text in texts:
        order = parse_order_by(text)
        found.setdefault((order.entity, order.key), order)
    return list(found.values())


def refuse_key(subject: str, valid: Iterable[str]) -> NoReturn:
    raise InvalidArgument(
        f"Invalid attribute key '{subject}' specified. Valid keys are {', '.join(sorted(valid))}.",
        key=subject,
    )
