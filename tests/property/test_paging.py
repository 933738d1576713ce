"""Concatenated pages are all rows in order, whatever the rows and the concurrent writes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cmp_to_key

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Engine,
    MetaData,
    String,
    Table,
    select,
)
from tests.support.databases.dialects import Dialect, with_tables
from tests.support.soak import examples

from modelyard_kit.db import paging
from modelyard_kit.db.paging import SortKey

RUNS = Table(
    "runs",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("name", String),
    Column("step", BigInteger),
    Column("loss", Double),
    Column("loss_is_nan", Boolean),
)
COLUMNS = ("name", "step", "loss")
MOST_ROWS = 30  # more than any example has: pages that repeat fail here instead of going on


@dataclass(frozen=True)
class Run:
    name: str | None
    step: int | None
    loss: float | None
    nan_placeholder: float | None  # what is stored beside the flag must not matter
    id: int = 0


@dataclass(frozen=True)
class Order:
    column: str
    ascending: bool


names = st.none() | st.sampled_from(["", "a", "A", "b", "ab", "é", "🙂"])
steps = st.none() | st.integers(-1, 1) | st.sampled_from([2**53, 2**53 + 1, -(2**63)])
losses = st.none() | st.sampled_from([math.nan, math.inf, -math.inf, 0.1, 0.2, -1.0])
runs = st.builds(Run, names, steps, losses, st.none() | st.just(0.0), st.just(0))
numbered_runs = st.lists(runs, max_size=12).map(
    lambda rows: [replace(row, id=10 * number) for number, row in enumerate(rows)]
)
orders = st.lists(st.builds(Order, st.sampled_from(COLUMNS), st.booleans()), max_size=4)


@pytest.fixture(scope="module")
def engine(dialect: Dialect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with with_tables(dialect, tmp_path_factory.mktemp("runs"), RUNS.metadata) as database:
        yield database.engine


@contextmanager
def holding(engine: Engine, rows: list[Run]) -> Iterator[Connection]:
    with engine.connect() as connection:
        insert(connection, rows)
        yield connection
        connection.rollback()


def insert(connection: Connection, rows: list[Run]) -> None:
    values = []
    for row in rows:
        is_nan = row.loss is not None and math.isnan(row.loss)
        loss = row.nan_placeholder if is_nan else row.loss
        # A missing value has no flag either, as after an outer join.
        flag = None if row.loss is None else is_nan
        values.append(
            {"id": row.id, "name": row.name, "step": row.step, "loss": loss, "loss_is_nan": flag}
        )
    if values:
        connection.execute(RUNS.insert(), values)


def sort_keys(order_by: list[Order]) -> list[SortKey]:
    nan = {"loss": RUNS.c.loss_is_nan}
    asked_for = [
        SortKey(RUNS.c[order.column], ascending=order.ascending, nan=nan.get(order.column))
        for order in order_by
    ]
    return [*asked_for, SortKey(RUNS.c.id, ascending=False, nullable=False)]


def read_page(
    connection: Connection, order_by: list[Order], size: int, token: str
) -> tuple[list[int], str]:
    keys = sort_keys(order_by)
    query = paging.fingerprint([str(order) for order in order_by])
    cursor = paging.decode(token, query)
    rows = select(RUNS.c.id, *paging.key_columns(keys))
    if cursor is not None:
        rows = rows.where(paging.after(keys, cursor))
    ordered = rows.order_by(*paging.order_clauses(keys)).limit(size + 1)
    page, following = paging.cut(connection.execute(ordered).all(), size, keys, query)
    return [row.id for row in page], following


def in_order(rows: list[Run], order_by: list[Order]) -> list[int]:
    def compare(left: Run, right: Run) -> int:
        for order in order_by:
            a, b = getattr(left, order.column), getattr(right, order.column)
            if place(a) != place(b):
                return place(a) - place(b)
            if place(a) == 0 and a != b:
                return 1 if (a > b) == order.ascending else -1
        return right.id - left.id

    return [row.id for row in sorted(rows, key=cmp_to_key(compare))]


def place(value: object) -> int:
    if value is None:
        return 2
    return 1 if isinstance(value, float) and math.isnan(value) else 0


@settings(max_examples=examples(40), deadline=None)
@given(numbered_runs, orders, st.integers(1, 5))
def test_pages_concatenated_are_the_whole_in_order(
    engine: Engine, rows: list[Run], order_by: list[Order], size: int
) -> None:
    with holding(engine, rows) as connection:
        found, token = read_page(connection, order_by, size, "")
        while token and len(found) < MOST_ROWS:
            page, token = read_page(connection, order_by, size, token)
            found += page

    assert found == in_order(rows, order_by)


@settings(max_examples=examples(40), deadline=None)
@given(numbered_runs, orders, st.integers(1, 3), st.lists(runs, max_size=12))
def test_rows_inserted_between_pages_repeat_nothing_and_hide_no_older_row(
    engine: Engine, rows: list[Run], order_by: list[Order], size: int, latecomers: list[Run]
) -> None:
    with holding(engine, rows) as connection:
        found, token = read_page(connection, order_by, size, "")
        for number, latecomer in enumerate(latecomers):
            insert(connection, [replace(latecomer, id=10 * number + 5)])
            if token:
                page, token = read_page(connection, order_by, size, token)
                found += page
        while token and len(found) < MOST_ROWS:
            page, token = read_page(connection, order_by, size, token)
            found += page

    assert len(found) == len(set(found))
    assert [number for number in found if number % 10 == 0] == in_order(rows, order_by)


@settings(max_examples=examples(40), deadline=None)
@given(numbered_runs.filter(bool), orders, st.data())
def test_rows_deleted_between_pages_hide_no_other_row(
    engine: Engine, rows: list[Run], order_by: list[Order], data: st.DataObject
) -> None:
    victim = data.draw(st.sampled_from(rows)).id
    with holding(engine, rows) as connection:
        found, token = read_page(connection, order_by, 1, "")
        connection.execute(RUNS.delete().where(RUNS.c.id == victim))
        while token and len(found) < MOST_ROWS:
            page, token = read_page(connection, order_by, 1, token)
            found += page

    others = [number for number in in_order(rows, order_by) if number != victim]
    assert [number for number in found if number != victim] == others
