"""Filters compared with an evaluator in Python, and parsed back from their own text."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Double,
    Engine,
    MetaData,
    String,
    Table,
    select,
)
from tests.support.databases.dialects import Dialect, with_tables
from tests.support.soak import examples

from modelyard_kit import filters
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters import And, Comparison, Literal, Node, Not, Operator, Or

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
keys = texts.filter(bool) | st.sampled_from(["and", "IN", "a.b", "1", "desc", "a b", "`", '"'])
literals = (
    st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts
)


def comparisons(
    entities: st.SearchStrategy[str | None],
    keys: st.SearchStrategy[str],
    values: st.SearchStrategy[Literal],
    scalar_operators: list[Operator],
) -> st.SearchStrategy[Comparison]:
    lists = st.lists(values, min_size=1, max_size=3).map(tuple)
    return (
        st.builds(Comparison, entities, keys, st.sampled_from(scalar_operators), values)
        | st.builds(Comparison, entities, keys, st.sampled_from([Operator.IN]), lists)
        | st.builds(Comparison, entities, keys, st.sampled_from([Operator.NOT_IN]), lists)
        | st.builds(Comparison, entities, keys, st.just(Operator.IS_NULL), st.none())
        | st.builds(Comparison, entities, keys, st.just(Operator.IS_NOT_NULL), st.none())
    )


def trees(leaves: st.SearchStrategy[Comparison]) -> st.SearchStrategy[Node]:
    def grow(terms: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        several = st.lists(terms, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, terms) | st.builds(And, several) | st.builds(Or, several)

    return st.recursive(leaves, grow, max_leaves=12)


@given(
    trees(
        comparisons(
            st.none() | keys,
            keys,
            literals,
            [op for op in Operator if "IN" not in op.split() and "IS" not in op.split()],
        )
    )
)
def test_a_filter_is_read_back_as_it_was_shown(tree: Node) -> None:
    assert filters.parse(filters.show(tree)) == tree


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "a",
                "metrics.",
                "`k`",
                '"k"',
                "'v'",
                "1",
                "=",
                "<",
                "IN",
                "NOT",
                "IS",
                "NULL",
                "LIKE",
                "AND",
                "OR",
                "(",
                ")",
                ",",
                "'",
                "`",
            ]
        ),
        max_size=12,
    ).map(" ".join)
)
def test_any_text_is_a_filter_or_is_refused_in_one_readable_line(text: str) -> None:
    refusal = tree = None
    try:
        tree = filters.parse(text)
    except InvalidArgument as error:
        refusal = error.message
    assert refusal is None or refusal.startswith("Invalid ")
    assert refusal is None or "Token(" not in refusal
    assert tree is None or filters.parse(filters.show(tree)) == tree


RUNS = Table(
    "runs",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("name", String),
    Column("step", BigInteger),
    Column("loss", Double),
)


@pytest.fixture(scope="module")
def engine(dialect: Dialect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with with_tables(dialect, tmp_path_factory.mktemp("runs"), RUNS.metadata) as database:
        yield database.engine


@dataclass(frozen=True)
class Run:
    name: str | None
    step: int | None
    loss: float | None


names = st.text("aA%_\\!é", max_size=3)
steps = st.integers(-3, 3) | st.sampled_from([2**53, 2**53 + 1, 2**63 - 1])
losses = st.sampled_from([-1.5, 0.0, 0.5, 2.0, 3.0, 1e300])
runs = st.builds(Run, st.none() | names, st.none() | steps, st.none() | losses)
number_operators = [Operator.EQ, Operator.NE, Operator.LT, Operator.LE, Operator.GT, Operator.GE]
text_operators = [Operator.EQ, Operator.NE, Operator.LIKE, Operator.ILIKE]
run_filters = trees(
    comparisons(st.none(), st.just("name"), names, text_operators)
    | comparisons(st.none(), st.just("step"), steps | losses, number_operators)
    | comparisons(st.none(), st.just("loss"), steps | losses, number_operators)
)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(runs, max_size=6), run_filters)
def test_a_database_selects_what_a_plain_evaluator_selects(
    engine: Engine, rows: list[Run], tree: Node
) -> None:
    with engine.connect() as connection:
        if rows:
            values = [{"id": number, **vars(row)} for number, row in enumerate(rows)]
            connection.execute(RUNS.insert(), values)
        found = connection.scalars(select(RUNS.c.id).where(filters.where(tree, resolve)))
        assert set(found) == {i for i, row in enumerate(rows) if matches(row, tree)}
        connection.rollback()


def resolve(comparison: Comparison) -> ColumnElement[bool]:
    condition = filters.text_condition if comparison.key == "name" else filters.number_condition
    return condition(RUNS.c[comparison.key], comparison)


def matches(row: Run, tree: Node) -> bool:
    match tree:
        case And(terms):
            return all(matches(row, term) for term in terms)
        case Or(terms):
            return any(matches(row, term) for term in terms)
        case Not(term):
            return not matches(row, term)
        case Comparison():
            return compares(getattr(row, tree.key), tree)


def like(value: str, pattern: str) -> bool:
    wildcards = {"%": ".*", "_": "."}
    expression = "".join(wildcards.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


COMPARE: dict[Operator, Callable[..., bool]] = {
    Operator.EQ: lambda a, b: a == b,
    Operator.NE: lambda a, b: a != b,
    Operator.LT: lambda a, b: a < b,
    Operator.LE: lambda a, b: a <= b,
    Operator.GT: lambda a, b: a > b,
    Operator.GE: lambda a, b: a >= b,
    Operator.IN: lambda a, b: a in b,
    Operator.NOT_IN: lambda a, b: a not in b,
    Operator.LIKE: like,
    Operator.ILIKE: lambda a, b: like(a.lower(), b.lower()),
}


def compares(value: Literal | None, comparison: Comparison) -> bool:
    if comparison.operator is Operator.IS_NULL:
        return value is None
    if comparison.operator is Operator.IS_NOT_NULL:
        return value is not None
    return value is not None and COMPARE[comparison.operator](value, comparison.value)
