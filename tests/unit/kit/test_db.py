from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.support.databases.dialects import Dialect
from tests.support.databases.one_table import database_of_one_table, insert, rows

from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_kit.errors import InvalidArgument


@pytest.fixture
def database(dialect: Dialect, tmp_path: Path) -> Iterator[Database]:
    with database_of_one_table(dialect, tmp_path) as database:
        yield database


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


def test_writers_on_many_threads_wait_for_each_other(database: Database) -> None:
    threads = [threading.Thread(target=insert, args=(database,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(database) == 16


def test_commits_notify_and_rollbacks_do_not(database: Database) -> None:
    notified: list[int] = []
    database.on_commit(lambda: notified.append(1))
    insert(database)
    with pytest.raises(ZeroDivisionError), database.write():
        raise ZeroDivisionError
    assert notified == [1]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "cannot be read"),
        ("not a url", "cannot be read"),
        ("mysql://somewhere/x", "kind 'mysql' are not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("postgresql://host:port/x", "cannot be read"),
        ("postgresql://[::1/x", "cannot be read"),
        ("postgresql:///x?foo=bar", 'cannot be used: invalid connection option "foo"'),
        ("postgresql+asyncpg://host/x", "kind 'postgresql\\+asyncpg' are not supported"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        open_database(url)
