"""Translates a filter's syntax into an SQL condition. Values are always bound parameters."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Integer,
    String,
    and_,
    false,
    func,
    literal,
    not_,
    or_,
)

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters.syntax import (
    And,
    Comparison,
    Literal,
    Node,
    Not,
    Operator,
    Or,
    show_value,
)

_EQUALITY = (Operator.EQ, Operator.NE)
_MEMBERSHIP = (Operator.IN, Operator.NOT_IN)
_PRESENCE = (Operator.IS_NULL, Operator.IS_NOT_NULL)

TEXT_OPERATORS = (*_EQUALITY, Operator.LIKE, Operator.ILIKE, *_MEMBERSHIP, *_PRESENCE)
NUMBER_OPERATORS = (
    *_EQUALITY,
    Operator.LT,
    Operator.LE,
    Operator.GT,
    Operator.GE,
    *_MEMBERSHIP,
    *_PRESENCE,
)

# Only % and _ are wildcards, on every database: escape characters in patterns are escaped.
_ESCAPE = "!"

_INT64_END = 2**63

_ORDERINGS: dict[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    Operator.EQ: operator.eq,
    Operator.NE: operator.ne,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
}


def where(node: Node, resolve: Callable[[Comparison], ColumnElement[bool]]) -> ColumnElement[bool]:
    """Return the condition that holds for the rows that a filter matches.

    NOT matches every row that its term does not match, including rows with a missing value.

    Args:
        node: Root of the filter's syntax, from `parse`.
        resolve: Returns the condition for one comparison, usually by `text_condition` or
            `number_condition`; raises InvalidArgument for an unknown key.
    """
    match node:
        case Comparison():
            return resolve(node)
        case Not(term):
            return not_(func.coalesce(where(term, resolve), false()))
        case And(terms):
            return and_(*(where(term, resolve) for term in terms))
        case Or(terms):
            return or_(*(where(term, resolve) for term in terms))


def text_condition(column: ColumnElement[Any], comparison: Comparison) -> ColumnElement[bool]:
    """Return the condition for a text column.

    LIKE is case-sensitive; ILIKE ignores the case of A to Z. SQLite connections must have
    ``PRAGMA case_sensitive_like = ON``, PostgreSQL columns the collation "C".

    Raises:
        InvalidArgument: The operator is not one of `TEXT_OPERATORS` or the value is a number.
    """
    require_operator(comparison, TEXT_OPERATORS)
    for value in _literals(comparison):
        if not isinstance(value, str):
            raise InvalidArgument(
                f"{comparison.subject} must be compared with a quoted string, got {value!r}; "
                f"write '{value!r}'"
            )
    if comparison.operator is Operator.LIKE:
        return column.like(_pattern(comparison), escape=_ESCAPE)
    if comparison.operator is Operator.ILIKE:
        return column.ilike(_pattern(comparison), escape=_ESCAPE)
    return _condition(column, comparison)


def number_condition(column: ColumnElement[Any], comparison: Comparison) -> ColumnElement[bool]:
    """Return the condition for a column of integers or floats.

    Raises:
        InvalidArgument: The operator is not one of `NUMBER_OPERATORS` or the value is a text.
    """
    require_operator(comparison, NUMBER_OPERATORS)
    for value in _literals(comparison):
        if isinstance(value, str):
            raise InvalidArgument(
                f"{comparison.subject} must be compared with a number, got {show_value(value)}"
            )
    return _condition(column, comparison)


def require_operator(comparison: Comparison, supported: Collection[Operator]) -> None:
    """Refuse an operator that a key does not support.

    Raises:
        InvalidArgument: The message lists the operators the key supports.
    """
    if comparison.operator not in supported:
        raise InvalidArgument(
            f"{comparison.subject} does not support {comparison.operator}; "
            f"use one of {', '.join(supported)}"
        )


def _condition(column: ColumnElement[Any], comparison: Comparison) -> ColumnElement[bool]:
    match comparison.operator:
        case Operator.IS_NULL:
            return column.is_(None)
        case Operator.IS_NOT_NULL:
            return column.is_not(None)
        case Operator.IN:
            return or_(*(column.in_(values) for values in _bound_lists(column, comparison)))
        case Operator.NOT_IN:
            return and_(*(column.not_in(values) for values in _bound_lists(column, comparison)))
        case ordering:
            return _ORDERINGS[ordering](column, _bound(column, *_literals(comparison)))


def _bound_lists(
    column: ColumnElement[Any], comparison: Comparison
) -> Iterable[list[ColumnElement[Any]]]:
    # PostgreSQL casts a list to one type: next to a fraction, large integers would be rounded.
    lists: dict[type[Any], list[ColumnElement[Any]]] = {}
    for value in _literals(comparison):
        bound = _bound(column, value)
        lists.setdefault(type(bound.type), []).append(bound)
    return lists.values()


def _bound(column: ColumnElement[Any], value: Literal) -> ColumnElement[Any]:
    # With the type of the value: with the column's, 2.5 would be rounded to an integer.
    if isinstance(value, float) and isinstance(column.type, Integer):
        value = _whole(value)  # PostgreSQL rounds integers to compare them with a float
    if isinstance(value, str):
        return literal(value, String())
    return literal(value, BigInteger() if isinstance(value, int) else Double())


def _whole(value: float) -> Literal:
    return int(value) if value.is_integer() and abs(value) < _INT64_END else value


def _literals(comparison: Comparison) -> tuple[Literal, ...]:
    value = comparison.value
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _pattern(comparison: Comparison) -> str:
    return str(comparison.value).replace(_ESCAPE, _ESCAPE * 2)
