"""Parses the text of a filter into its syntax."""

from __future__ import annotations

import math
import re
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters.syntax import (
    And,
    Comparison,
    Literal,
    Node,
    Not,
    Operator,
    Or,
    OrderBy,
)

MAX_CHARACTERS = 8 * 1024
MAX_DEPTH = 32
MAX_COMPARISONS = 100

_INT64 = range(-(2**63), 2**63)
_MAX_NUMBER_CHARACTERS = 64
_MAX_SHOWN_CHARACTERS = 40
_QUOTES = ("'", '"', "`")
_QUALIFIED = re.compile(r"(\w+|`(?:[^`]|``)+`)\.(.+)", re.DOTALL)

# Texts for error messages by the terminals that may come next; the first match is used.
_EXPECTATIONS = (
    (("_OR",), "AND, OR or the end of the filter"),
    (("NAME",), "a key such as name or metrics.accuracy"),
    (("ORDERING",), "an operator such as =, !=, <, LIKE or IN"),
    (("NUMBER",), "a number or a quoted string"),
    (("_NULL",), "NULL or NOT NULL"),
    (("_IN",), "IN, LIKE or ILIKE"),
    (("_LPAR",), "a list such as ('a', 'b')"),
    (("_COMMA",), "a comma or a closing parenthesis"),
    (("_RPAR",), "a closing parenthesis"),
    (("ASC",), "ASC, DESC or the end"),
    (("$END",), "nothing more"),
)


def parse(text: str) -> Node | None:
    """Parse a filter such as ``metrics.accuracy > 0.9 AND NOT tags.team IN ('a', 'b')``.

    MLflow's search grammar is a subset with the same meaning. Keywords may be in any case; a quote
    inside a quoted text is doubled; ``k NOT LIKE x`` is ``NOT k LIKE x``. A missing AND is assumed,
    and one that joins nothing has no effect.

    Args:
        text: At most 8192 characters, 100 comparisons and 32 levels of AND, OR and NOT.

    Returns:
        The root of the filter's syntax, or None for a blank text, which restricts nothing.

    Raises:
        InvalidArgument: The text is not a filter or exceeds a limit; the message names the
            position.
    """
    if len(text) <= MAX_CHARACTERS and not text.strip():
        return None
    root: Node = _parse(text, "filter")
    _check_limits(root)
    return root


def parse_order_by(text: str) -> OrderBy:
    """Parse a sort key such as ``metrics.accuracy DESC``; the default direction is ascending.

    Raises:
        InvalidArgument: The text is not a key with an optional direction.
    """
    order: OrderBy = _parse(text, "order_by")
    return order


@v_args(inline=True)
class _Build(Transformer[Token, Node]):
    """Builds the syntax while the parser runs, without recursion."""

    def filter(self, root: Node) -> Node:
        return root

    def order_by(self, key: tuple[str | None, str], direction: Token | None) -> OrderBy:
        return OrderBy(*key, ascending=direction is None or direction.type == "ASC")

    def disjunction(self, *terms: Node) -> Or:
        return Or(terms)

    def conjunction(self, *terms: Node) -> Node:
        return And(terms) if len(terms) > 1 else terms[0]

    def negation(self, term: Node) -> Not:
        return Not(term)

    def compare(self, key: tuple[str | None, str], operator: Token, value: Literal) -> Comparison:
        return Comparison(*key, Operator(operator.upper()), value)

    def compare_not(self, key: tuple[str | None, str], operator: Token, value: Literal) -> Not:
        return Not(self.compare(key, operator, value))

    def contained(self, key: tuple[str | None, str], values: tuple[Literal, ...]) -> Comparison:
        return Comparison(*key, Operator.IN, values)

    def not_contained(self, key: tuple[str | None, str], values: tuple[Literal, ...]) -> Comparison:
        return Comparison(*key, Operator.NOT_IN, values)

    def missing(self, key: tuple[str | None, str]) -> Comparison:
        return Comparison(*key, Operator.IS_NULL, None)

    def present(self, key: tuple[str | None, str]) -> Comparison:
        return Comparison(*key, Operator.IS_NOT_NULL, None)

    def list(self, *values: Literal) -> tuple[Literal, ...]:
        return values

    def key(self, word: Token) -> tuple[str | None, str]:
        if word == '""':
            raise InvalidArgument(f'Invalid key at character {_position(word)}: "" is empty')
        if word.type != "QUALIFIED":
            return None, _unquoted(word)
        [(entity, key)] = _QUALIFIED.findall(word)
        return _unquoted(entity), _unquoted(key)

    def string(self, token: Token) -> str:
        return _unquoted(token)

    def number(self, token: Token) -> int | float:
        value = float(token) if len(token) <= _MAX_NUMBER_CHARACTERS else math.inf
        if math.isinf(value):
            raise InvalidArgument(
                f"Invalid number {_shown(str(token))} at character {_position(token)}: "
                f"expected a finite 64-bit float in at most {_MAX_NUMBER_CHARACTERS} characters"
            )
        is_integer = token.lstrip("+-").isdecimal()
        # An integer beyond 64 bits, larger than any column's, compares correctly as a float.
        return int(token) if is_integer and int(token) in _INT64 else value


def _parse(text: str, start: str) -> Any:
    name = start.replace("_", " ")
    if len(text) > MAX_CHARACTERS:
        raise InvalidArgument(
            f"Invalid {name}: it has {len(text)} characters, expected at most {MAX_CHARACTERS}"
        )
    if "\0" in text:
        raise InvalidArgument(
            f"Invalid {name} at character {text.index(chr(0)) + 1}: a NUL character is not allowed"
        )
    try:
        return _parser().parse(text, start=start)
    except UnexpectedInput as error:
        raise InvalidArgument(_explain(name, text, error)) from None


@cache
def _parser() -> Lark:
    grammar = resources.files("modelyard_kit.filters").joinpath("grammar.lark").read_text("utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="basic",  # the type of a word must not depend on the terminals expected next
        start=["filter", "order_by"],
        transformer=_Build(),
        maybe_placeholders=True,
    )


def _check_limits(root: Node) -> None:
    depth = comparisons = 0
    level: tuple[Node, ...] = (root,)
    while level:  # breadth first: deep nesting must not exhaust the stack
        depth += 1
        comparisons += sum(isinstance(node, Comparison) for node in level)
        level = tuple(chain.from_iterable(map(_terms, level)))
    if comparisons > MAX_COMPARISONS:
        raise InvalidArgument(
            f"Invalid filter: it has {comparisons} comparisons, expected at most {MAX_COMPARISONS}"
        )
    if depth > MAX_DEPTH:
        raise InvalidArgument(
            f"Invalid filter: AND, OR and NOT are nested {depth} deep, expected at most {MAX_DEPTH}"
        )


def _terms(node: Node) -> tuple[Node, ...]:
    match node:
        case And(terms) | Or(terms):
            return terms
        case Not(term):
            return (term,)
        case Comparison():
            return ()


def _explain(name: str, text: str, error: UnexpectedInput) -> str:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        where, got = "at its end", "nothing"
    else:
        at = error.pos_in_stream or 0
        where, got = f"at character {at + 1}", _shown(_word(text, at, error))
        opening = text[at:].lstrip(".")
        if opening.startswith(_QUOTES) and isinstance(error, UnexpectedCharacters):
            return f"Invalid {name} {where}: the quote {opening[0]} is empty or not closed"
    return f"Invalid {name} {where}: expected {_expected(error)}, got {got}"


def _word(text: str, at: int, error: UnexpectedInput) -> str:
    if isinstance(error, UnexpectedToken):
        return str(error.token)
    words = text[at:].split(maxsplit=1)
    # Python treats more characters as white space than the grammar, such as \x1f.
    return words[0] if words else text[at]


def _expected(error: UnexpectedInput) -> str:
    state: Any = error.interactive_parser  # set on every error of an LALR parser
    accepted = state.accepts()
    texts = [text for terminals, text in _EXPECTATIONS if accepted.issuperset(terminals)]
    return texts[0]


def _shown(text: str) -> str:
    shortened = text[:_MAX_SHOWN_CHARACTERS]
    return repr(shortened if len(shortened) == len(text) else shortened + "…")


def _position(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1].replace(quote * 2, quote) if quote in _QUOTES else str(text)
