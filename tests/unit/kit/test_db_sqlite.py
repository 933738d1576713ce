from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from tests.support.databases.one_table import database_of_one_table, insert, rows

from modelyard_kit.db import progress
from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_kit.db.rows import Rows
from modelyard_kit.db.statements import Statement
from modelyard_kit.errors import (
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with database_of_one_table("sqlite", tmp_path) as database:
        yield database


def raw(statement: str) -> Statement[Any]:
    return Statement(text(statement).columns())


@pytest.fixture(params=["session", "driver"])
def write(request: pytest.FixtureRequest, database: Database) -> Callable[..., None]:
    """Run statements in one write transaction, of either form."""

    def on_session(*statements: str, **limits: Any) -> None:
        with database.write(**limits) as session:
            for statement in statements:
                session.execute(text(statement))

    def on_driver(*statements: str, **limits: Any) -> None:
        def work(rows: Rows) -> None:
            for statement in statements:
                rows.execute(raw(statement))

        database.fast_write(work, **limits)

    return on_session if request.param == "session" else on_driver


def test_a_writer_that_waits_too_long_is_refused_and_has_started_nothing(
    database: Database, write: Callable[..., None]
) -> None:
    with database.write(), pytest.raises(Unavailable, match="nothing was written"):
        write("INSERT INTO t VALUES (1)", timeout_s=0.05)
    write("INSERT INTO t VALUES (1)")
    assert rows(database) == 1


def _open_in_another_process(url: str, answer: multiprocessing.Queue[str]) -> None:
    try:
        open_database(url).close()
        answer.put("opened")
    except FailedPrecondition as error:
        answer.put(error.message)


@pytest.mark.usefixtures("database")
def test_a_second_process_is_refused_with_the_reason(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[str] = context.Queue()
    other = context.Process(
        target=_open_in_another_process, args=(f"sqlite:///{tmp_path}/x.db", answer)
    )
    other.start()
    assert answer.get(timeout=60) == (
        "The database x.db is open in another process; only one at a time may use it."
    )
    other.join()


def test_sqlite_is_opened_durable_and_with_a_case_sensitive_like(database: Database) -> None:
    with database.read() as session:
        assert session.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert session.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
        assert session.execute(text("SELECT 'A' LIKE 'a'")).scalar_one() == 0


def damage(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def make_unopenable(path: Path) -> None:
    path.mkdir()


def make_lock_unopenable(path: Path) -> None:
    path.with_name(f"{path.name}.lock").mkdir()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (damage, "file is not a database"),
        (make_unopenable, "unable to open database file"),
        (make_lock_unopenable, "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    path = tmp_path / "x.db"
    spoil(path)
    with pytest.raises(
        FailedPrecondition, match=f"^The database x.db cannot be used: {why}\\.[^\n]*$"
    ):
        open_database(f"sqlite:///{path}")


def test_a_refused_file_can_be_opened_once_it_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    damage(path)
    with pytest.raises(FailedPrecondition):
        open_database(f"sqlite:///{path}")
    path.unlink()
    open_database(f"sqlite:///{path}").close()


def test_a_write_to_a_full_disk_is_refused_and_leaves_nothing(
    database: Database, write: Callable[..., None]
) -> None:
    with pytest.raises(
        ResourceExhausted, match="disk of the database is full; nothing was written"
    ):
        write(
            "PRAGMA max_page_count = 8",
            "INSERT INTO t VALUES (1)",
            "INSERT INTO t VALUES (randomblob(1000000))",
        )
    assert rows(database) == 0
    write("INSERT INTO t VALUES (1)")
    assert rows(database) == 1


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
MILLION = ENDLESS.replace("FROM c)", "FROM c LIMIT 1000000)")


@pytest.mark.parametrize(
    "statement",
    [
        ENDLESS,
        ENDLESS.replace("SELECT count(*)", "INSERT INTO t SELECT x"),
        ENDLESS.replace("SELECT count(*) FROM c", "UPDATE t SET n = (SELECT max(x) FROM c)"),
    ],
    ids=["SELECT", "INSERT", "UPDATE"],
)
def test_a_statement_whose_result_is_not_awaited_is_ended(
    database: Database, write: Callable[..., None], statement: str
) -> None:
    insert(database)
    asked: list[bool] = []

    def has_ended() -> bool:
        asked.append(len(asked) >= 5)
        return asked[-1]

    with pytest.raises(DeadlineExceeded, match="deadline passed"):
        write("INSERT INTO t VALUES (1)", statement, has_ended=has_ended)
    assert asked[-1]
    assert rows(database) == 1  # rolled back, and the next writer waits for nothing
    write("INSERT INTO t VALUES (2)", timeout_s=0.05)
    assert rows(database) == 2


def test_a_long_read_is_ended_and_its_connection_serves_the_next(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/y.db", pool_size=1)
    with (
        pytest.raises(DeadlineExceeded),
        database.read(has_ended=lambda: True) as session,
    ):
        session.execute(text(ENDLESS))
    with database.read() as session:
        assert session.execute(text(MILLION)).scalar_one() == 1_000_000
    database.close()


def test_a_long_read_on_the_driver_is_ended_and_its_connection_serves_the_next(
    database: Database,
) -> None:
    endless, million = (raw(long) for long in (ENDLESS, MILLION))
    with pytest.raises(DeadlineExceeded):
        database.fast_read(lambda rows: rows.first(endless), has_ended=lambda: True)
    assert database.fast_read(lambda rows: rows.first(million)) == (1_000_000,)
    assert database.in_use() == 0


def test_a_commit_on_the_driver_is_never_ended(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_OPCODES_BETWEEN", 1)
    add = raw("INSERT INTO t VALUES (1)")
    ended = False

    def work(on_driver: Rows) -> None:
        nonlocal ended
        on_driver.execute(add)
        ended = True

    database.fast_write(work, has_ended=lambda: ended)
    assert rows(database) == 1


def test_a_commit_is_never_ended(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_OPCODES_BETWEEN", 1)
    ended = False
    with database.write(has_ended=lambda: ended) as session:
        session.execute(text("INSERT INTO t VALUES (1)"))
        ended = True
    assert rows(database) == 1


def count_on_driver(database: Database) -> None:
    database.fast_read(lambda rows: rows.first(raw("SELECT max(n) FROM t")))


@pytest.mark.parametrize("count", [rows, count_on_driver])
def test_damage_found_by_a_call_is_reported_and_the_database_is_not_ready_any_more(
    database: Database, tmp_path: Path, count: Callable[[Database], object]
) -> None:
    insert(database)
    database.empty_log()
    database.engine.dispose()  # pages that were read before are not read again
    with (tmp_path / "x.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    with pytest.raises(DataLoss, match="The database is damaged, and nothing was written"):
        count(database)
    assert database.problem().startswith(
        "The database is damaged: database disk image is malformed"
    )


def test_a_file_that_is_moved_away_while_it_is_open_is_not_written(
    database: Database, tmp_path: Path
) -> None:
    insert(database)
    (tmp_path / "x.db").rename(tmp_path / "away")
    assert database.problem().startswith("The database x.db was moved or exchanged")
    with pytest.raises(Unavailable, match="moved or exchanged"):
        insert(database)
    with pytest.raises(Unavailable, match="moved or exchanged"):
        count_on_driver(database)
    (tmp_path / "x.db").write_bytes((tmp_path / "away").read_bytes())
    assert database.problem().startswith("The database x.db was moved or exchanged")
    (tmp_path / "away").replace(tmp_path / "x.db")
    assert database.problem() == ""
    insert(database)
    assert rows(database) == 2
