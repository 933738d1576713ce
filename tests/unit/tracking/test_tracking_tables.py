"""The tables themselves: migrations, chunks, leases."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from tests.support.databases.dialects import Dialect, open_migrated

from modelyard_kit.artifacts import Digest
from modelyard_kit.db.base import Database
from modelyard_kit.db.rows import rows_of
from modelyard_tracking.app import MIGRATIONS
from modelyard_tracking.models import Base, MetricChunk, StoredObject
from modelyard_tracking.operations import artifacts, inputs, metrics, runs
from modelyard_tracking.rules.points import CHUNK_POINTS, MERGED_POINTS, Columns, Curve

CURVE = Curve("m", "", "", "")


@pytest.fixture
def database(dialect: Dialect, tmp_path: Path) -> Iterator[Database]:
    with closing(open_migrated(dialect, tmp_path, MIGRATIONS)) as opened:
        yield opened


@pytest.fixture
def run_id(database: Database) -> str:
    with database.write() as session:
        return runs.create_run(rows_of(session), "0", "", "ada", 0, {}).run.run_id


def log(database: Database, run_id: str, steps: range, curve: Curve = CURVE) -> None:
    with database.write() as session:
        points = Columns.of(steps, steps, map(float, steps))
        metrics.log_points(rows_of(session), run_id, {curve: points})


def counts(database: Database) -> list[int]:
    with database.read() as session:
        chunks = select(MetricChunk.point_count).order_by(MetricChunk.chunk_id)
        return list(session.scalars(chunks))


def test_migrations_make_the_tables_of_the_models(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda name, kind, _: (
                    (kind, name) != ("table", MIGRATIONS.version_table)
                )
            },
        )
        assert compare_metadata(context, Base.metadata) == []


def test_datasets_are_returned_up_to_the_limit(database: Database, run_id: str) -> None:
    with database.write() as session:
        used = [inputs.NewDatasetInput("iris", digest, "s", "s", "", "", {}) for digest in "cab"]
        inputs.log_inputs(session, run_id, used, [], 1)
        found = inputs.datasets_of_experiments(session, [0], limit=2)
    assert [row.digest for row in found] == ["a", "b"]


def test_small_batches_are_merged_into_one_chunk(database: Database, run_id: str) -> None:
    for start in range(0, 60, 20):
        log(database, run_id, range(start, start + 20))
    assert counts(database) == [60]
    with database.read() as session:
        chunk = session.scalars(select(MetricChunk)).one()
    assert (chunk.min_step, chunk.max_step) == (0, 59)
    assert (chunk.min_timestamp_ms, chunk.max_timestamp_ms) == (0, 59)


def test_each_of_many_curves_is_merged_into_its_chunk(database: Database, run_id: str) -> None:
    curves = [Curve(f"m{number}", "", "", "") for number in range(30)]
    for step in (1, 2, 2):
        with database.write() as session:
            points = {curve: Columns.of([step], [step], [0.5]) for curve in curves}
            metrics.log_points(rows_of(session), run_id, points)
    assert counts(database) == [2] * 30


def test_a_full_chunk_is_left_alone(database: Database, run_id: str) -> None:
    log(database, run_id, range(MERGED_POINTS))
    log(database, run_id, range(MERGED_POINTS, MERGED_POINTS + 1))
    log(database, run_id, range(MERGED_POINTS + 1, MERGED_POINTS + 2))
    assert counts(database) == [MERGED_POINTS, 2]


def test_a_long_series_is_cut(database: Database, run_id: str) -> None:
    log(database, run_id, range(2 * CHUNK_POINTS + 1))
    assert counts(database) == [CHUNK_POINTS, CHUNK_POINTS, 1]


def test_a_repeated_batch_is_not_stored_again(database: Database, run_id: str) -> None:
    log(database, run_id, range(10))
    log(database, run_id, range(10, 20))
    log(database, run_id, range(10, 20))
    assert counts(database) == [20]


def test_curves_on_different_data_have_chunks_of_their_own(database: Database, run_id: str) -> None:
    log(database, run_id, range(2))
    log(database, run_id, range(2), Curve("m", "", "iris", "d1"))
    log(database, run_id, range(2), Curve("n", "", "", ""))
    log(database, run_id, range(2, 4))
    assert counts(database) == [4, 2, 2]


def test_a_lease_is_prolonged_and_a_stored_object_stays_stored(database: Database) -> None:
    digest = Digest("a" * 64)
    hour_ms = 60 * 60 * 1000
    expectations = [
        (artifacts.DECLARED, 0, "declared"),
        (artifacts.STORED, 10, "stored"),
        (artifacts.DECLARED, 20, "stored"),
    ]
    for state, now_ms, expected in expectations:
        with database.write() as session:
            until_ms = artifacts.lease_objects(session, {digest: 5}, now_ms, state=state)
        assert until_ms == now_ms + hour_ms
        with database.read() as session:
            kept = session.get_one(StoredObject, digest)
        assert (kept.state, kept.leased_until_ms, kept.size_bytes) == (expected, until_ms, 5)
