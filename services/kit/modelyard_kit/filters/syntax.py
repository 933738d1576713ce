"""The syntax of filters as immutable nodes, and their text form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "like", "ilike", "asc", "desc"})

_BARE_ENTITY = re.compile(r"[^\W\d]\w*")
_BARE_KEY = re.compile(r"[^\W\d][\w/:-]*")
_BARE_QUALIFIED_KEY = re.compile(r"[\w./:-]+")

Literal: TypeAlias = int | float | str
Value: TypeAlias = Literal | tuple[Literal, ...] | None


class Operator(StrEnum):
    """A comparison operator, spelled as in a filter."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    LIKE = "LIKE"
    ILIKE = "ILIKE"
    IN = "IN"
    NOT_IN = "NOT IN"
    IS_NULL = "IS NULL"
    IS_NOT_NULL = "IS NOT NULL"


@dataclass(frozen=True)
class Comparison:
    """One comparison of a key, such as ``metrics.accuracy > 0.9``.

    Attributes:
        entity: Part before the first dot, such as ``metrics``; None for a key without one.
        key: The key, unquoted.
        operator: The operator.
        value: A number (an int of 64 bits, or a finite float) or a text; a tuple of them for IN
            and NOT IN; None for IS NULL and IS NOT NULL.
    """

    entity: str | None
    key: str
    operator: Operator
    value: Value

    @property
    def subject(self) -> str:
        """The key with its entity, in the text form of filters, for messages."""
        return show_key(self.entity, self.key)


@dataclass(frozen=True)
class Not:
    """The negation of a term."""

    term: Node


@dataclass(frozen=True)
class And:
    """The conjunction of at least two terms."""

    terms: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """The disjunction of at least two terms."""

    terms: tuple[Node, ...]


Node: TypeAlias = And | Or | Not | Comparison


@dataclass(frozen=True)
class OrderBy:
    """A sort key; `entity` and `key` are as in `Comparison`."""

    entity: str | None
    key: str
    ascending: bool


def show(node: Node) -> str:
    """Return the text of a filter, which parses to the same syntax."""
    match node:
        case Comparison(value=None):
            return f"{node.subject} {node.operator}"
        case Comparison():
            return f"{node.subject} {node.operator} {show_value(node.value)}"
        case Not(term):
            return f"NOT {_show_term(term)}"
        case And(terms):
            return " AND ".join(_show_term(term) for term in terms)
        case Or(terms):
            return " OR ".join(_show_term(term) for term in terms)


def show_value(value: Value) -> str:
    """Return the text of a literal, or of a list of literals."""
    if isinstance(value, tuple):
        return f"({', '.join(map(show_value, value))})"
    if isinstance(value, str):
        return _quoted(value, "'")
    return repr(value)


def show_key(entity: str | None, key: str) -> str:
    """Return the text of a key, in backticks if it is not valid without them."""
    if entity is None:
        bare = _BARE_KEY.fullmatch(key) and key.lower() not in KEYWORDS
        return key if bare else _quoted(key, "`")
    shown_entity = entity if _BARE_ENTITY.fullmatch(entity) else _quoted(entity, "`")
    shown_key = key if _BARE_QUALIFIED_KEY.fullmatch(key) else _quoted(key, "`")
    return f"{shown_entity}.{shown_key}"


def _show_term(term: Node) -> str:
    return f"({show(term)})" if isinstance(term, And | Or) else show(term)


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace(quote, quote * 2) + quote
