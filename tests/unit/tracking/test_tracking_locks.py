"""Transactions that overlap on PostgreSQL: the second waits, and decides from what it finds then.

SQLite has one writer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from tests.support.databases.dialects import open_migrated

from modelyard_kit.artifacts import Digest, ManifestFile
from modelyard_kit.db.base import Database
from modelyard_kit.db.rows import rows_of
from modelyard_kit.errors import FailedPrecondition, InvalidArgument, NotFound
from modelyard_tracking.app import MIGRATIONS
from modelyard_tracking.operations import (
    artifacts,
    experiments,
    history,
    importing,
    logged_models,
    metrics,
    purging,
    runs,
)
from modelyard_tracking.rules.artifacts import Owner, OwnerKind
from modelyard_tracking.rules.points import Columns, Curve
from modelyard_tracking.rules.states import Lifecycle

pytestmark = pytest.mark.postgres

Work = Callable[[Session], Any]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_migrated("postgresql", tmp_path, MIGRATIONS)) as opened:
        yield opened


@pytest.fixture
def run_id(database: Database) -> str:
    with database.write() as session:
        experiments.create_experiment(session, "a", "", {}, 0)
        return runs.create_run(rows_of(session), "1", "", "ada", 0, {}).run.run_id


def overlapping(database: Database, first: Work, second: Work) -> Any:
    """Begin the second when the first has written and not committed; return what it returns."""

    def run_second() -> Any:
        with database.write() as session:
            return second(session)

    with ThreadPoolExecutor(1) as threads:
        with database.write() as session:
            first(session)
            session.flush()
            running = threads.submit(run_second)
            wait_for_lock(database, running)
        return running.result()


def wait_for_lock(database: Database, running: Future[Any]) -> None:
    """Return when the other transaction waits for a lock, or has ended without waiting."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with database.engine.connect() as connection:
        while not running.done() and not connection.scalar(waiting):
            connection.rollback()


def test_the_latest_point_of_a_model_is_the_greatest_of_both(
    database: Database, run_id: str
) -> None:
    with database.write() as session:
        model = logged_models.create_logged_model(session, "1", "m", "", run_id, {}, {}, 0)
        other = runs.create_run(rows_of(session), "1", "", "ada", 0, {}).run.run_id
    curve = Curve("loss", model.model_id, "", "")

    def log(run_id: str, step: int) -> Work:
        point = Columns.of([step], [0], [float(step)])
        return lambda session: metrics.log_points(rows_of(session), run_id, {curve: point})

    with database.write() as session:
        log(run_id, 0)(session)
    overlapping(database, log(run_id, 2), log(other, 1))
    with database.read() as session:
        (latest,) = history.latest_of_models(session, [model.model_id])[model.model_id]
    assert latest.step == 2


def test_a_file_is_not_put_below_one_that_is_being_put_there(
    database: Database, run_id: str
) -> None:
    def put(path: str) -> Work:
        files = [ManifestFile(path, 1, Digest.of(path.encode()))]
        owner = Owner(OwnerKind.RUN, run_id)
        return lambda session: artifacts.commit_files(session, owner, files, 1)

    with pytest.raises(InvalidArgument, match="both a file and a folder"):
        overlapping(database, put("a"), put("a/b"))


def test_no_run_begins_in_an_experiment_that_is_being_deleted(
    database: Database, run_id: str
) -> None:
    assert run_id
    with pytest.raises(FailedPrecondition, match="must be in the 'active' state"):
        overlapping(
            database,
            lambda session: experiments.delete_experiment(session, "1", 1),
            lambda session: runs.create_run(rows_of(session), "1", "", "ada", 0, {}),
        )


def test_an_experiment_is_deleted_with_a_run_that_was_just_begun(
    database: Database, run_id: str
) -> None:
    begun: list[str] = []
    overlapping(
        database,
        lambda session: begun.append(
            runs.create_run(rows_of(session), "1", "", "ada", 0, {}).run.run_id
        ),
        lambda session: experiments.delete_experiment(session, "1", 1),
    )
    with database.read() as session:
        for each in (run_id, *begun):
            assert runs.get_run(session, each).lifecycle_stage == "deleted"


def test_no_run_is_restored_in_an_experiment_that_is_being_deleted(
    database: Database, run_id: str
) -> None:
    with database.write() as session:
        runs.delete_run(session, run_id, 0)
    with pytest.raises(FailedPrecondition, match="restore the experiment first"):
        overlapping(
            database,
            lambda session: experiments.delete_experiment(session, "1", 1),
            lambda session: runs.restore_run(session, run_id),
        )


def test_nothing_is_logged_to_a_run_that_is_being_deleted(database: Database, run_id: str) -> None:
    with pytest.raises(FailedPrecondition, match="must be in the 'active' state"):
        overlapping(
            database,
            lambda session: runs.delete_run(session, run_id, 0),
            lambda session: runs.write_to_run(rows_of(session), run_id, 1),
        )


def purge(session: Session) -> purging.Purge:
    return purging.purge_some(session, 10, 10)[0]


def test_a_run_that_is_being_purged_is_not_restored(database: Database, run_id: str) -> None:
    with database.write() as session:
        runs.delete_run(session, run_id, 0)
    with pytest.raises(NotFound, match=run_id):
        overlapping(database, purge, lambda session: runs.restore_run(session, run_id))


def test_a_run_that_is_being_restored_is_not_purged(database: Database, run_id: str) -> None:
    with database.write() as session:
        runs.delete_run(session, run_id, 0)
    purged = overlapping(database, lambda session: runs.restore_run(session, run_id), purge)
    assert purged == purging.Purge()
    with database.read() as session:
        assert runs.get_run(session, run_id).lifecycle_stage == "active"


def test_an_experiment_that_is_being_purged_is_not_restored(database: Database) -> None:
    with database.write() as session:
        experiments.create_experiment(session, "b", "", {}, 0)
        experiments.delete_experiment(session, "1", 1)
    with pytest.raises(NotFound):
        overlapping(
            database, purge, lambda session: experiments.restore_experiment(session, "1", 2)
        )


def test_an_import_sees_the_number_and_name_of_an_experiment_that_is_just_made(
    database: Database,
) -> None:
    original = importing.OriginalExperiment("1", "a", Lifecycle.ACTIVE, 0, 0, {})
    imported, created = overlapping(
        database,
        lambda session: experiments.create_experiment(session, "a", "", {}, 0),
        lambda session: importing.import_experiment(session, "there", original, 0),
    )
    assert (imported.experiment_id, imported.name, created) == (2, "a (2)", True)
