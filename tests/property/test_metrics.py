"""Metrics compared with a list: however they are logged and paged, none is lost or repeated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.databases.dialects import Dialect, open_migrated
from tests.support.soak import examples

from modelyard_kit.db.base import Database
from modelyard_kit.db.rows import rows_of
from modelyard_tracking.app import MIGRATIONS
from modelyard_tracking.operations import history, metrics, runs
from modelyard_tracking.rules.points import Columns, Curve, Point, history_order

KEY = "m"
small = st.integers(0, 5)
points = st.builds(
    Point,
    timestamp_ms=small,
    step=st.integers(-2, 2),
    value=st.sampled_from([0.0, 1.0, -1.5, math.inf, -math.inf, math.nan]),
)
batches = st.lists(st.lists(points, min_size=1, max_size=6), max_size=8)


@pytest.fixture(scope="module")
def database(dialect: Dialect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(open_migrated(dialect, tmp_path_factory.mktemp("metrics"), MIGRATIONS)) as opened:
        yield opened


def logged(database: Database, batches: list[list[Point]]) -> str:
    with database.write() as session:
        run_id = runs.create_run(rows_of(session), "0", "", "ada", 0, {}).run.run_id
    for batch in batches:
        with database.write() as session:
            columns = Columns.of()
            for point in batch:
                columns.append(*point)
            metrics.log_points(rows_of(session), run_id, {Curve(KEY, "", "", ""): columns})
    return run_id


def as_text(found: Sequence[tuple[int, int, float]]) -> list[str]:
    return [f"{timestamp_ms} {step} {value}" for timestamp_ms, step, value in found]


@settings(max_examples=examples(30), deadline=None)
@given(batches, st.integers(1, 4), st.integers(0, 8))
def test_history_is_each_point_once_in_order(
    database: Database, batches: list[list[Point]], page_size: int, again: int
) -> None:
    run_id = logged(database, batches + batches[:again])
    distinct = {history_order(point): point for batch in batches for point in batch}
    expected = [distinct[order] for order in sorted(distinct)]
    found: list[tuple[int, int, float]] = []
    token = ""
    with database.read() as session:
        while True:
            page, token = history.history_page(session, run_id, KEY, token, page_size)
            assert len(page) <= page_size
            found += [(point.timestamp_ms, point.step, point.value) for point in page]
            if not token:
                break
    assert as_text(found) == as_text(expected)


@settings(max_examples=examples(30), deadline=None)
@given(batches, st.integers(-2, 2), st.integers(-2, 2))
def test_an_interval_is_the_part_of_the_history_in_it(
    database: Database, batches: list[list[Point]], first: int, last: int
) -> None:
    run_id = logged(database, batches)
    distinct = {history_order(p): p for batch in batches for p in batch if first <= p.step <= last}
    with database.read() as session:
        found = history.points_between(session, run_id, KEY, first, last)
    assert as_text(found) == as_text([distinct[order] for order in sorted(distinct)])
