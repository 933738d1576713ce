import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    MetaData,
    String,
    Table,
    select,
    text,
)
from tests.support.databases.dialects import Dialect, with_tables

from modelyard_kit.db import paging
from modelyard_kit.db.paging import Cursor, SortKey
from modelyard_kit.errors import InvalidArgument

RUNS = Table(
    "runs",
    MetaData(),
    Column("id", String, primary_key=True),
    Column("start_time", BigInteger, nullable=False),
    Column("loss", Double),
)
Index("runs_by_time", RUNS.c.start_time.desc(), RUNS.c.id)

NEWEST_FIRST = [
    SortKey(RUNS.c.start_time, ascending=False, nullable=False),
    SortKey(RUNS.c.id, nullable=False),
]
QUERY = paging.fingerprint("runs", ["0"], "", ["start_time DESC"])


@pytest.fixture
def connection(dialect: Dialect, tmp_path: Path) -> Iterator[Connection]:
    with (
        with_tables(dialect, tmp_path, RUNS.metadata) as database,
        database.engine.connect() as connection,
    ):
        yield connection


@pytest.mark.parametrize(
    "cursor",
    [
        (0, 0.1, "a"),
        (2**53 + 1, -(2**63), 2**63 - 1),
        (float("inf"), float("-inf"), 5e-324, -0.0),
        (2, None, ""),
        ("é\u0001'\"🙂", "x" * 8000),
    ],
)
def test_a_token_carries_the_key_exactly_and_is_safe_in_a_url(cursor: Cursor) -> None:
    token = paging.encode(cursor, QUERY)

    decoded = paging.decode(token, QUERY)

    assert decoded == cursor
    assert list(map(type, decoded or ())) == list(map(type, cursor))
    assert token.replace("-", "").replace("_", "").isalnum()


def test_an_empty_token_is_the_first_page() -> None:
    assert paging.decode("", QUERY) is None


@pytest.mark.parametrize(
    "other",
    [
        paging.fingerprint("runs", ["1"], "", ["start_time DESC"]),
        paging.fingerprint("runs", ["0"], "metrics.a > 1", ["start_time DESC"]),
        paging.fingerprint("runs", ["0"], "", ["start_time"]),
        paging.fingerprint("experiments", ["0"], "", ["start_time DESC"]),
    ],
)
def test_a_token_of_another_search_is_refused(other: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid page_token: it belongs to another search"):
        paging.decode(paging.encode((1, "a"), QUERY), other)


def hand_made(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "!!!!",
        "é",
        "\ud800",
        " ",
        "MTA=MTA=",
        base64.b64encode(b"\xff\xfe").decode(),
        base64.b64encode(b'{"offset": 10}').decode(),
        hand_made(None),
        hand_made([]),
        hand_made([[QUERY]]),
        hand_made([QUERY, True]),
        hand_made([QUERY, {"a": 1}]),
        hand_made([QUERY, float("nan")]),
        hand_made([QUERY, 2**63]),
        hand_made([QUERY, "\ud800"]),
        hand_made([QUERY, "a\0b"]),
        base64.b64encode(b"[" * 60_000).decode(),
        "A" * 300_000,
    ],
)
def test_a_malformed_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid page_token: expected the next_page_token"):
        paging.decode(token, QUERY)


@pytest.mark.parametrize(
    "cursor", [(), (1,), (1, "a", "b"), ("1", "a"), (1.5, "a"), (1, 1), ("a", 1)]
)
def test_a_token_whose_key_does_not_fit_the_search_is_refused(cursor: Cursor) -> None:
    with pytest.raises(InvalidArgument, match="Invalid page_token: expected the next_page_token"):
        paging.after(NEWEST_FIRST, cursor)


def test_the_last_page_has_no_next_token(connection: Connection) -> None:
    connection.execute(RUNS.insert(), [{"id": c, "start_time": 1, "loss": 0} for c in "abcd"])

    def page(token: str) -> tuple[list[str], str]:
        cursor = paging.decode(token, QUERY)
        query = select(RUNS.c.id, *paging.key_columns(NEWEST_FIRST))
        if cursor is not None:
            query = query.where(paging.after(NEWEST_FIRST, cursor))
        ordered = query.order_by(*paging.order_clauses(NEWEST_FIRST)).limit(3)
        rows, following = paging.cut(connection.execute(ordered).all(), 2, NEWEST_FIRST, QUERY)
        return [row.id for row in rows], following

    first, token = page("")
    second, end = page(token)
    assert (first, second, end) == (["a", "b"], ["c", "d"], "")


def test_a_late_page_starts_inside_the_index_and_sorts_nothing(connection: Connection) -> None:
    query = (
        select(RUNS.c.id, *paging.key_columns(NEWEST_FIRST))
        .where(paging.after(NEWEST_FIRST, (5, "a")))
        .order_by(*paging.order_clauses(NEWEST_FIRST))
    )
    compiled = query.compile(connection, compile_kwargs={"literal_binds": True})

    if connection.dialect.name == "postgresql":
        for scan in ("seqscan", "bitmapscan"):  # which it takes for an empty table
            connection.execute(text(f"SET enable_{scan} = off"))
        plan = " ".join(connection.scalars(text(f"EXPLAIN {compiled}")))
        assert "using runs_by_time" in plan
        assert "Index Cond: (start_time <= " in plan
        assert "Sort" not in plan
        return
    plan = " ".join(str(row) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))
    assert "SEARCH runs USING" in plan
    assert "runs_by_time" in plan
    assert "B-MIGRATIONS" not in plan
