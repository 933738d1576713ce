"""Transactions on the driver's connection, and the statements that they run, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
    table,
    update,
)
from sqlalchemy.exc import IntegrityError
from tests.support.databases.dialects import Dialect, empty_url

from modelyard_kit.auth.scope import EVERYTHING, Scope
from modelyard_kit.db.base import Conflict, Database
from modelyard_kit.db.open import open_database
from modelyard_kit.db.rows import Rows, rows_of
from modelyard_kit.db.statements import Statement, among, collected, inserting, listed, matches
from modelyard_kit.errors import NotFound

TABLES = MetaData()
LINES = Table(
    "line",
    TABLES,
    Column("note", String(20), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("is_read", Boolean),
)
NOTES = Table(
    "note", TABLES, Column("name", String(20), primary_key=True), Column("size", BigInteger)
)
RESTRICTIONS = {NOTES: lambda notes: matches(notes.c.name)}
ADD = Statement[tuple[()]](inserting(NOTES))
SIZES = Statement[tuple[int]](
    select(NOTES.c.size).where(among(NOTES.c.name, listed("names"))).order_by(NOTES.c.name),
    restrictions=RESTRICTIONS,
)
ALL = Statement[tuple[str, int]](select(NOTES).order_by(NOTES.c.name), restrictions=RESTRICTIONS)
GROW = Statement[tuple[()]](
    update(NOTES).where(NOTES.c.name == bindparam("of")).values(size=NOTES.c.size + 1),
    restrictions=RESTRICTIONS,
    later=True,
)
REMOVE = Statement[tuple[str]](
    delete(NOTES).where(NOTES.c.size > bindparam("above")).returning(NOTES.c.name),
    restrictions=RESTRICTIONS,
)


class Line(NamedTuple):
    number: int
    is_read: bool | None


class Note(NamedTuple):
    name: str
    lines: list[Line]


ADD_LINE = Statement[tuple[()]](inserting(LINES))
WITH_LINES = Statement(
    select(
        NOTES.c.name,
        collected(
            Line, select(LINES.c.number, LINES.c.is_read).where(LINES.c.note == NOTES.c.name)
        ),
    ).order_by(NOTES.c.name),
    Note,
    restrictions=RESTRICTIONS,
)
READ = Statement[tuple[int, bool | None]](
    select(LINES.c.number, LINES.c.is_read).order_by(LINES.c.number)
)


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory, dialect: Dialect) -> Iterator[Database]:
    database = open_database(empty_url(dialect, tmp_path_factory.mktemp("rows")))
    database.scope_patterns = lambda scope: scope.models
    with database.write() as session:
        TABLES.create_all(session.connection())
    database.fast_write(lambda rows: add(rows, a1=1, a2=2, b1=3))
    yield database
    database.close()


def add(rows: Rows, **sizes: int) -> None:
    rows.execute_many(ADD, [{"name": name, "size": size} for name, size in sizes.items()])


def add_lines(database: Database, lines: dict[int, bool | None]) -> None:
    values = [{"note": "a1", "number": number, "is_read": lines[number]} for number in lines]
    database.fast_write(lambda rows: rows.execute_many(ADD_LINE, [*values]))


def stored(database: Database, scope: Scope = EVERYTHING) -> dict[str, int]:
    return dict(database.fast_read(lambda rows: rows.execute(ALL), scope=scope))


def test_a_list_is_one_parameter(database: Database) -> None:
    def sizes(*names: str) -> list[tuple[int]]:
        return database.fast_read(lambda rows: rows.execute(SIZES, {"names": names}))

    assert sizes("b1", "a2", "c") == [(2,), (3,)]
    assert sizes() == []


def test_a_statement_ahead_of_a_read_leaves_its_connection_for_the_next(
    database: Database,
) -> None:
    scope = Scope(models=("b*",))
    for _ in range(2):
        assert database.fast_read(lambda rows: rows.ahead(ALL), scope=scope) == ("b1", 3)
    assert database.fast_read(lambda rows: rows.ahead(ALL), timeout_s=1.0) == ("a1", 1)
    database.fast_write(lambda rows: add(rows, c1=4))

    def both(rows: Rows) -> tuple[Any, int]:
        return rows.ahead(ALL), len(rows.execute(ALL))

    assert database.fast_read(both) == (("a1", 1), 4)


def test_statements_of_one_round_trip_have_their_own_rows(database: Database) -> None:
    asked: list[tuple[Statement[Any], dict[str, Any]]] = [(ALL, {}), (SIZES, {"names": ["b1"]})]
    for last in (False, True):
        found = database.fast_read(partial(Rows.execute_all, statements=asked, last=last))
        assert found == [[("a1", 1), ("a2", 2), ("b1", 3)], [(3,)]]


TEXTS = ["", "a,b", 'quoted "x"', "back\\slash", "{}", "NULL", "é€𝄞", " x "]


def test_a_list_keeps_the_characters_of_its_texts(database: Database) -> None:
    lines = {text: place for place, text in enumerate(TEXTS)}
    database.fast_write(lambda rows: add(rows, **lines))
    for text, place in lines.items():
        wanted = {"names": [text, "other"]}
        found = database.fast_read(partial(Rows.execute, statement=SIZES, values=wanted))
        assert found == [(place,)]


def test_collected_rows_are_sorted_and_not_multiplied(database: Database) -> None:
    add_lines(database, {10: None, 9: None})
    found = database.fast_read(lambda rows: rows.execute(WITH_LINES), scope=Scope(models=("a*",)))
    assert found == [Note("a1", [Line(9, None), Line(10, None)]), Note("a2", [])]


def test_a_boolean_is_one_on_both_databases(database: Database) -> None:
    add_lines(database, {1: None, 2: False, 3: True})
    found = database.fast_read(lambda rows: rows.execute(READ))
    assert [value for _, value in found] == [None, False, True]
    assert [type(value) for _, value in found[1:]] == [bool, bool]


def test_a_write_that_raises_leaves_nothing(database: Database) -> None:
    def refused(rows: Rows) -> None:
        add(rows, c1=4)
        raise NotFound("refused")

    with pytest.raises(NotFound):
        database.fast_write(refused)
    assert stored(database) == {"a1": 1, "a2": 2, "b1": 3}


def test_a_violated_constraint_is_an_error_of_its_kind(database: Database) -> None:
    kind = IntegrityError if database.engine.dialect.name == "sqlite" else Conflict
    with pytest.raises(kind):
        database.fast_write(lambda rows: add(rows, a1=5))
    database.fast_write(lambda rows: add(rows, c1=4))
    assert stored(database)["c1"] == 4


def test_reads_updates_and_deletions_are_restricted_to_a_scope(database: Database) -> None:
    scope = Scope(models=("a*",))
    assert stored(database, scope) == {"a1": 1, "a2": 2}

    def change(rows: Rows) -> list[tuple[str]]:
        for name in ("a1", "b1"):
            rows.execute(GROW, {"of": name})
        return rows.execute(REMOVE, {"above": 1})

    removed = database.fast_write(change, scope=scope)
    assert sorted(removed) == [("a1",), ("a2",)]
    assert stored(database) == {"b1": 3}


def test_endings_are_called_with_the_outcome(database: Database) -> None:
    outcomes: list[bool] = []

    def work(rows: Rows, error: Exception | None) -> None:
        rows.on_end(outcomes.append)
        if error is not None:
            raise error

    database.fast_write(lambda rows: work(rows, None))
    with pytest.raises(NotFound):
        database.fast_write(lambda rows: work(rows, NotFound("refused")))
    assert outcomes == [True, False]


def test_the_rows_of_a_session_are_those_of_its_transaction(database: Database) -> None:
    def others() -> Any:
        return stored(database).get("c1")

    with database.write() as session:
        session.execute(NOTES.insert().values(name="c1", size=4))
        rows = rows_of(session)
        rows.execute(GROW, {"of": "c1"})
        assert dict(rows.execute(ALL))["c1"] == 5
        assert others() is None
    assert others() == 5


def test_statements_outlive_the_rollback_of_a_session_on_the_same_connection(
    tmp_path_factory: pytest.TempPathFactory, dialect: Dialect
) -> None:
    url = empty_url(dialect, tmp_path_factory.mktemp("one"))
    with closing(open_database(url, pool_size=1)) as database:
        with database.write() as session:
            TABLES.create_all(session.connection())
        for _ in range(2):
            assert database.fast_read(lambda rows: rows.execute(ALL)) == []
            with database.read() as session:
                for _ in range(8):  # more than psycopg lets pass before it prepares a statement
                    session.execute(select(NOTES.c.name))
        assert database.fast_read(lambda rows: rows.execute(ALL)) == []


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)
def test_statements_are_prepared_once_and_limits_are_not(database: Database) -> None:
    prepared = Statement[tuple[int]](
        select(func.count()).select_from(table("pg_prepared_statements"))
    )
    counts = set()
    for place in range(4):
        database.fast_read(lambda rows: rows.execute(SIZES, {"names": ["a1"]}), 1 + place / 8)
        counts.add(database.fast_read(lambda rows: rows.first(prepared)))
    assert len(counts) == 1
