from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Double,
    MetaData,
    String,
    Table,
    select,
)
from tests.support.databases.dialects import Dialect, with_tables

from modelyard_kit import filters
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.filters import Comparison

VERSIONS = Table(
    "versions",
    MetaData(),
    Column("number", BigInteger, primary_key=True),
    Column("name", String),
    Column("score", Double),
)


@pytest.fixture
def connection(dialect: Dialect, tmp_path: Path) -> Iterator[Connection]:
    with (
        with_tables(dialect, tmp_path, VERSIONS.metadata) as database,
        database.engine.connect() as connection,
    ):
        connection.execute(
            VERSIONS.insert(),
            [
                {"number": 1, "name": "iris", "score": 0.5},
                {"number": 2, "name": "Iris", "score": 2.5},
                {"number": 3, "name": "50% off!", "score": float("inf")},
                {"number": 4, "name": "a\\_b", "score": -1.0},
                {"number": 5, "name": None, "score": None},
                {"number": 2**53 + 1, "name": "O'Hara'); DROP TABLE versions; --", "score": 1e300},
            ],
        )
        yield connection


def resolve(comparison: Comparison) -> ColumnElement[bool]:
    condition = filters.text_condition if comparison.key == "name" else filters.number_condition
    return condition(VERSIONS.c[comparison.key], comparison)


def numbers(connection: Connection, text: str) -> list[int]:
    tree = filters.parse(text)
    assert tree is not None
    found = select(VERSIONS.c.number).where(filters.where(tree, resolve))
    return list(connection.scalars(found.order_by(VERSIONS.c.number)))


LAST = 2**53 + 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = 'iris'", [1]),
        ("name != 'iris'", [2, 3, 4, LAST]),
        ("name LIKE 'i%'", [1]),
        ("name ILIKE 'I%'", [1, 2]),
        ("name LIKE '_ris'", [1, 2]),
        ("name LIKE '50% off!'", [3]),
        ("name LIKE '%!'", [3]),
        ("name LIKE 'a\\_b'", [4]),
        ("name LIKE '%\\%'", [4]),
        ("name LIKE '*'", []),
        ("name NOT LIKE '%i%'", [3, 4, 5]),
        ("name IN ('iris', 'Iris')", [1, 2]),
        ("name NOT IN ('iris', 'Iris')", [3, 4, LAST]),
        ("name IS NULL", [5]),
        ("NOT name IS NULL", [1, 2, 3, 4, LAST]),
        ("NOT name = 'iris'", [2, 3, 4, 5, LAST]),
        ("name = 'O''Hara''); DROP TABLE versions; --'", [LAST]),
        ("number > 2.5 AND number < 4", [3]),
        ("number = 9007199254740993", [LAST]),
        ("number = 9007199254740992", []),
        ("number < 99999999999999999999", [1, 2, 3, 4, 5, LAST]),
        ("number IN (1, 2, 2.5)", [1, 2]),
        ("score >= 2.5", [2, 3, LAST]),
        ("score IS NULL OR score < 0", [4, 5]),
        ("NOT (score > 0 OR number = 4)", [5]),
    ],
)
def test_a_filter_selects_the_rows_it_describes(
    connection: Connection, text: str, expected: list[int]
) -> None:
    assert numbers(connection, text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attributes.score = 'x'", "attributes.score must be compared with a number, got 'x'"),
        ("score IN (1, 'it''s')", "score must be compared with a number, got 'it''s'"),
        ("name = 0.1", "name must be compared with a quoted string, got 0.1; write '0.1'"),
        ("name LIKE 3", "name must be compared with a quoted string, got 3; write '3'"),
        (
            "name < 'a'",
            "name does not support <; use one of =, !=, LIKE, ILIKE, IN, NOT IN",
        ),
        (
            "score LIKE '1%'",
            "score does not support LIKE; use one of =, !=, <, <=, >, >=, IN, NOT IN",
        ),
    ],
)
def test_a_comparison_that_the_column_cannot_make_is_refused(
    connection: Connection, text: str, message: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        numbers(connection, text)

    assert refusal.value.message.removesuffix(", IS NULL, IS NOT NULL") == message


def test_a_pattern_without_case_knows_that_of_a_to_z_only(connection: Connection) -> None:
    connection.execute(VERSIONS.insert(), {"number": 6, "name": "Été", "score": None})
    assert numbers(connection, "name ILIKE 'ÉT%'") == [6]
    assert numbers(connection, "name ILIKE 'é%'") == []
