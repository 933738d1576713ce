from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from modelyard_kit.db import Database, open_database
from modelyard_kit.errors import FailedPrecondition, InvalidArgument, Unavailable


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/x.db")
    with database.write() as session:
        session.execute(text("CREATE TABLE t (n INTEGER)"))
    yield database
    database.close()


def rows(database: Database) -> int:
    with database.read() as session:
        count: int = session.execute(text("SELECT count(*) FROM t")).scalar_one()
        return count


def insert(database: Database) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO t VALUES (1)"))


def test_a_write_is_committed_at_the_end_and_rolled_back_on_an_exception(
    database: Database,
) -> None:
    insert(database)
    with pytest.raises(ZeroDivisionError), database.write() as session:
        session.execute(text("INSERT INTO t VALUES (2)"))
        raise ZeroDivisionError
    assert rows(database) == 1


def test_a_read_sees_one_instant_while_others_write(database: Database) -> None:
    with database.read() as session:
        before = session.execute(text("SELECT count(*) FROM t")).scalar_one()
        insert(database)
        assert session.execute(text("SELECT count(*) FROM t")).scalar_one() == before
    assert rows(database) == 1


def test_a_writer_that_waits_too_long_is_refused_and_has_started_nothing(
    database: Database,
) -> None:
    with (
        database.write(),
        pytest.raises(Unavailable, match="nothing was written"),
        database.write(timeout_s=0.05),
    ):
        pytest.fail("a second writer got in")
    insert(database)


def test_writers_on_many_threads_wait_for_each_other(database: Database) -> None:
    threads = [threading.Thread(target=insert, args=(database,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(database) == 16


def test_commits_are_told_and_rollbacks_are_not(database: Database) -> None:
    told: list[int] = []
    database.on_commit(lambda: told.append(1))
    insert(database)
    with pytest.raises(ZeroDivisionError), database.write():
        raise ZeroDivisionError
    assert told == [1]


def _open_in_another_process(url: str, answer: multiprocessing.Queue[str]) -> None:
    try:
        open_database(url).close()
        answer.put("opened")
    except FailedPrecondition as error:
        answer.put(error.message)


@pytest.mark.usefixtures("database")
def test_a_second_process_is_refused_and_told_why(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[str] = context.Queue()
    other = context.Process(
        target=_open_in_another_process, args=(f"sqlite:///{tmp_path}/x.db", answer)
    )
    other.start()
    assert answer.get(timeout=60) == (
        "The database x.db is open in another process; one at a time may use it."
    )
    other.join()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "cannot be read"),
        ("not a url", "cannot be read"),
        ("mysql://somewhere/x", "kind 'mysql' are not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        open_database(url)


def test_sqlite_is_opened_durable_and_with_a_case_sensitive_like(database: Database) -> None:
    with database.read() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert session.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
        assert session.execute(text("SELECT 'A' LIKE 'a'")).scalar_one() == 0
