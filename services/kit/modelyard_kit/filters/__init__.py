"""The filter grammar that all searches share: from text to syntax, from syntax to SQL."""

from modelyard_kit.filters.parser import parse, parse_order_by
from modelyard_kit.filters.sql import (
    NUMBER_OPERATORS,
    TEXT_OPERATORS,
    number_condition,
    require_operator,
    text_condition,
    where,
)
from modelyard_kit.filters.syntax import (
    And,
    Comparison,
    Literal,
    Node,
    Not,
    Operator,
    Or,
    OrderBy,
    Value,
    show,
)

__all__ = [
    "NUMBER_OPERATORS",
    "TEXT_OPERATORS",
    "And",
    "Comparison",
    "Literal",
    "Node",
    "Not",
    "Operator",
    "Or",
    "OrderBy",
    "Value",
    "number_condition",
    "parse",
    "parse_order_by",
    "require_operator",
    "show",
    "text_condition",
    "where",
]
