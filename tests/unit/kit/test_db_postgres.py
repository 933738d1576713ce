from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import URL, Connection, make_url, text, update
from sqlalchemy import insert as insert_rows
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.orm.exc import StaleDataError
from tests.support.databases import postgres
from tests.support.databases.postgres import Postgres

from modelyard_kit.db.base import LATER, Conflict, Database, OutcomeUnknown
from modelyard_kit.db.open import open_database
from modelyard_kit.errors import DeadlineExceeded, InvalidArgument, Unavailable


class Base(DeclarativeBase):
    pass


class Numbered(Base):
    __tablename__ = "t"
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    s: Mapped[str | None]


@pytest.fixture
def database() -> Iterator[Database]:
    with closing(open_database(postgres.server().create())) as database:
        with database.write() as session:
            session.execute(text("CREATE TABLE t (n INTEGER PRIMARY KEY, s VARCHAR(3))"))
        yield database


@pytest.fixture(scope="module")
def own_server() -> Iterator[Postgres]:
    """A server whose settings tests may change, and which they may stop."""
    server = Postgres(["fsync=off"])
    yield server
    server.close()


def insert(database: Database, number: int = 1) -> None:
    with database.write() as session:
        session.execute(text("INSERT INTO t VALUES (:n)"), {"n": number})


def numbers(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(text("SELECT n FROM t ORDER BY n")))


def run_alone(database: Database, statement: str) -> list[Any]:
    """Run a statement on another connection of the server's."""
    with database.engine.connect() as connection:
        found = connection.execute(text(statement))
        rows = list(found.scalars()) if found.returns_rows else []
        connection.commit()
        return rows


def end_connections(database: Database) -> None:
    with closing(open_database(database.engine.url)) as other:
        run_alone(
            other,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Hold a lock on the only row in another connection."""
    insert(database)
    with database.engine.begin() as connection:
        connection.execute(text("SELECT * FROM t FOR UPDATE"))
        yield


def test_a_session_has_its_limits_and_a_name(database: Database) -> None:
    limits = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    with database.read() as session:
        assert [session.scalar(text(f"SHOW {name}")) for name in limits] == ["5s", "2s", "10s"]
        assert session.scalar(text("SHOW application_name")) == "modelyard"


def test_a_read_is_of_one_instant_and_writes_nothing(database: Database) -> None:
    with database.read() as session:
        assert session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
        with pytest.raises(DBAPIError, match="read-only transaction"):
            session.execute(text("INSERT INTO t VALUES (1)"))


def test_a_wait_for_a_locked_row_ends_at_the_deadline(
    database: Database,
) -> None:
    with locked(database):
        with (
            pytest.raises(DeadlineExceeded, match="nothing was written"),
            database.write(timeout_s=0.2) as session,
        ):
            session.execute(text("UPDATE t SET n = 2"))
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        assert run_alone(database, waiting) == []
    assert numbers(database) == [1]


def test_a_long_wait_for_a_locked_row_asks_for_a_retry(database: Database) -> None:
    with (
        locked(database),
        pytest.raises(Unavailable, match=r"holds the lock; nothing was written\. Try again"),
        database.write() as session,
    ):
        session.execute(text("SET LOCAL lock_timeout = 50"))
        session.execute(text("UPDATE t SET n = 2"))


def test_a_violated_constraint_is_a_conflict(database: Database) -> None:
    insert(database)
    with pytest.raises(Conflict):
        insert(database)


def test_a_deadlock_is_a_conflict_of_one_transaction(database: Database) -> None:
    insert(database, 1)
    insert(database, 2)
    both = threading.Barrier(2)
    ended: list[str] = []

    def write(first: int, second: int) -> None:
        try:
            with database.write() as session:
                lock = text("SELECT n FROM t WHERE n = :n FOR UPDATE")
                session.execute(lock, {"n": first})
                both.wait()
                session.execute(lock, {"n": second})
        except Conflict as conflict:
            ended.append(str(conflict))
        else:
            ended.append("committed")

    threads = [threading.Thread(target=write, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["40P01", "committed"]


def test_a_text_that_is_too_long_is_refused(database: Database) -> None:
    with (
        pytest.raises(InvalidArgument, match="longer than its column in the database"),
        database.write() as session,
    ):
        session.execute(text("INSERT INTO t VALUES (1, 'four')"))


def test_a_text_that_is_too_long_for_an_index_is_refused(database: Database) -> None:
    run_alone(database, "CREATE TABLE named (name TEXT PRIMARY KEY)")
    long = "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 200) AS n"
    with (
        pytest.raises(InvalidArgument, match="exceed the size limit of a database index"),
        database.write() as session,
    ):
        session.execute(text(f"INSERT INTO named {long}"))


def test_a_read_that_meets_a_change_of_tables_may_be_tried_again(database: Database) -> None:
    run_alone(database, "CREATE TABLE other (n INTEGER)")
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

    def change(held: Connection) -> None:
        held.execute(text("LOCK TABLE t"))
        held.rollback()

    with (
        ThreadPoolExecutor(1) as threads,
        database.engine.connect() as held,
        pytest.raises(Unavailable, match="tables are being changed"),
        database.read() as session,
    ):
        session.execute(text("SET LOCAL deadlock_timeout = 10"))
        session.execute(text("SELECT * FROM t"))
        held.execute(text("LOCK TABLE other"))
        threads.submit(change, held)
        while not run_alone(database, waiting):
            pass
        session.execute(text("SELECT * FROM other"))


def test_the_pool_heals_after_every_connection_was_ended(database: Database) -> None:
    with database.read(), database.read():
        pass  # two connections
    end_connections(database)
    insert(database)
    assert numbers(database) == [1]


def test_a_deferred_write_is_sent_before_the_next_statement(database: Database) -> None:
    with database.write() as session:
        session.add_all([Numbered(n=1), Numbered(n=2)])
        session.flush()
        change = update(Numbered).where(Numbered.n == 2).values(n=3)
        session.execute(change, execution_options={**LATER, "synchronize_session": False})
        assert list(session.scalars(text("SELECT n FROM t ORDER BY n"))) == [1, 3]


def test_many_rows_are_not_deferred(database: Database) -> None:
    with database.write() as session:
        with pytest.raises(IntegrityError):
            session.execute(insert_rows(Numbered), [{"n": n % 500} for n in range(1000)])
        session.rollback()


def test_a_deferred_write_is_rolled_back_with_its_transaction(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as session:
        session.add(Numbered(n=1))
        session.flush()
        raise KeyError
    assert numbers(database) == []


def test_a_deferred_write_may_conflict_at_the_commit(database: Database) -> None:
    insert(database)
    with pytest.raises(Conflict), database.write() as session:
        session.add(Numbered(n=2))
        session.flush()
        session.add(Numbered(n=1))
    assert numbers(database) == [1]


def test_a_change_of_a_missing_row_is_never_committed(database: Database) -> None:
    insert(database)
    with (
        pytest.raises(StaleDataError, match="0 of 1 expected rows affected"),
        database.write() as session,
    ):
        row = session.get_one(Numbered, 1)
        run_alone(database, "DELETE FROM t")
        session.add(Numbered(n=2))
        row.s = "x"
    assert numbers(database) == []


def test_nothing_is_written_in_a_read(database: Database) -> None:
    with pytest.raises(Unavailable, match="is read-only now"), database.read() as session:
        session.add(Numbered(n=1))
        session.flush()


@pytest.mark.parametrize("options", [{"stream_results": True}, {}])
def test_whatever_is_executed_first_is_executed_in_the_transaction(
    database: Database, options: dict[str, Any]
) -> None:
    with database.read(timeout_s=1) as session:
        setting = text("SELECT current_setting('transaction_read_only')")
        assert session.scalars(setting, execution_options=options).all() == ["on"]
        assert session.scalar(text("SHOW statement_timeout")) == "1s"
    with pytest.raises(Conflict), database.write() as session:
        session.execute(text("INSERT INTO t VALUES (:n)"), [{"n": 1}, {"n": 2}])
        insert(database, 3)  # by itself
        session.execute(text("INSERT INTO t VALUES (3)"))
    assert numbers(database) == [3]


def test_a_connection_lost_before_the_commit_wrote_nothing(database: Database) -> None:
    with (
        pytest.raises(Unavailable, match="nothing was written"),
        database.write() as session,
    ):
        session.execute(text("INSERT INTO t VALUES (1)"))
        end_connections(database)
        session.execute(text("INSERT INTO t VALUES (2)"))
    assert numbers(database) == []


def test_of_a_connection_lost_at_the_commit_the_outcome_is_not_known(database: Database) -> None:
    # A deferred trigger runs when the transaction is committed.
    run_alone(
        database,
        "CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
    )
    run_alone(
        database,
        "CREATE CONSTRAINT TRIGGER leaves AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION leave()",
    )
    with pytest.raises(OutcomeUnknown):
        insert(database)
    with pytest.raises(OutcomeUnknown), database.write() as session:
        session.add(Numbered(n=1))  # is sent with the commit
    assert numbers(database) == []


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [
        ("synchronous_commit = off", "set it to on or remote_apply"),
        ("synchronous_commit = local", "synchronous_commit=local"),
    ],
)
def test_a_server_that_may_lose_commits_is_named(
    database: Database, setting: str, remedy: str
) -> None:
    name = database.engine.url.database
    run_alone(database, f"ALTER DATABASE {name} SET {setting}")
    with (
        closing(open_database(database.engine.url)) as again,
        again.engine.connect() as connection,
    ):
        assert remedy in again.risk(connection)
    with database.engine.connect() as connection:
        assert database.risk(connection) == ""


def test_a_server_that_does_not_write_to_the_disk_is_named(own_server: Postgres) -> None:
    with (
        closing(open_database(own_server.url)) as database,
        database.engine.connect() as connection,
    ):
        assert database.risk(connection) == (
            "PostgreSQL runs with fsync=off, which can lose acknowledged writes; set it to on."
        )


def test_the_pool_heals_after_a_crash_of_the_server(own_server: Postgres) -> None:
    with closing(open_database(own_server.create())) as database:
        run_alone(database, "CREATE TABLE t (n INTEGER)")
        own_server.crash()
        assert "Connection refused" in database.problem()
        with pytest.raises(Unavailable, match="cannot be reached"):
            insert(database)
        own_server.start()
        assert database.problem() == ""
        insert(database)


PASSWORD = "p@ss/w:rd%?#é"


def test_a_password_may_have_any_character_and_is_never_shown(
    own_server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(open_database(own_server.url)) as database:
        run_alone(database, f"CREATE ROLE ada LOGIN PASSWORD '{PASSWORD}'")
    own_server.ask_for_passwords()
    url = make_url(own_server.url).set(username="ada", password=PASSWORD)
    assert problem_of(url) == ""
    with caplog.at_level(logging.DEBUG):
        wrong = problem_of(url.set(password=f"x{PASSWORD}"))
    assert 'password authentication failed for user "ada"' in wrong
    assert PASSWORD not in wrong + caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"database": "none"}, 'database "none" does not exist'),
        ({"username": "nobody"}, 'role "nobody" does not exist'),
        ({"host": "db.invalid"}, "failed to resolve host 'db.invalid'"),
        ({"port": 1}, "port 1 failed: Connection refused"),
        ({"query": {"connect_timeout": "soon"}}, "bad value for connect_timeout: 'soon'"),
    ],
)
def test_the_problem_of_an_address_is_reported_in_one_line(
    change: dict[str, Any], message: str
) -> None:
    problem = problem_of(make_url(postgres.server().url).set(**change))
    assert problem.startswith("The database cannot be used: ")
    assert message in problem
    assert problem.endswith("each service needs a database or a schema of its own.")
    assert "\n" not in problem


@pytest.mark.parametrize(
    "change",
    [{"database": "secret"}, {"username": "secret"}, {"host": "secret.invalid"}, {"port": 1}],
)
def test_a_caller_is_not_told_where_the_database_is(change: dict[str, Any]) -> None:
    url = make_url(postgres.server().url).set(**change)
    message = "The database cannot be reached or is shutting down; nothing was written. Try again."
    with closing(open_database(url)) as database:
        for transaction in (database.read, database.write):
            with pytest.raises(Unavailable) as caught, transaction() as session:
                session.execute(text("SELECT 1"))
            assert caught.value.message == message


def problem_of(url: URL) -> str:
    with closing(open_database(url)) as database:
        return database.problem()
