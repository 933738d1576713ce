from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from tests.support.databases import postgres
from tests.support.databases.dialects import Dialect, empty_url

from modelyard_kit.db.base import Database
from modelyard_kit.db.migrations import Migrations, current, migrate, require_head
from modelyard_kit.db.open import open_database
from modelyard_kit.errors import FailedPrecondition, Unavailable

REVISION = """
from alembic import op
import sqlalchemy as sa

revision = "{revision}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade() -> None:
    {upgrade}
"""


@pytest.fixture
def database(dialect: Dialect, tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(empty_url(dialect, tmp_path))) as database:
        yield database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    return folder


def revision(folder: Path, name: str, down: str | None, upgrade: str) -> Migrations:
    source = REVISION.format(revision=name, down=repr(down), upgrade=upgrade)
    (folder / "versions" / f"{name}.py").write_text(source, encoding="utf-8")
    return Migrations("notes", folder, name)


def test_an_empty_database_is_brought_to_the_head(database: Database, folder: Path) -> None:
    revision(folder, "0001", None, 'op.create_table("note", sa.Column("n", sa.Integer))')
    tree = revision(folder, "0002", "0001", 'op.add_column("note", sa.Column("m", sa.Integer))')
    assert current(database, tree) is None
    migrate(database, tree)
    assert current(database, tree) == "0002"
    columns = {column["name"] for column in inspect(database.engine).get_columns("note")}
    assert columns == {"n", "m"}


def test_an_older_database_keeps_its_rows(database: Database, folder: Path) -> None:
    first = revision(folder, "0001", None, 'op.create_table("note", sa.Column("n", sa.Integer))')
    migrate(database, first)
    with database.write() as session:
        session.execute(text("INSERT INTO note VALUES (7)"))
    second = revision(folder, "0002", "0001", 'op.add_column("note", sa.Column("m", sa.Integer))')
    migrate(database, second)
    with database.read() as session:
        assert session.execute(text("SELECT n, m FROM note")).one() == (7, None)


def test_a_revision_that_fails_leaves_the_database_as_it_was(
    database: Database, folder: Path
) -> None:
    first = revision(folder, "0001", None, 'op.create_table("note", sa.Column("n", sa.Integer))')
    migrate(database, first)
    broken = revision(
        folder, "0002", "0001", 'op.create_table("more", sa.Column("n", sa.Integer)); 1 / 0'
    )
    with pytest.raises(ZeroDivisionError):
        migrate(database, broken)
    assert current(database, broken) == "0001"
    assert not inspect(database.engine).has_table("more")


def test_a_database_from_a_newer_version_is_refused(database: Database, folder: Path) -> None:
    tree = revision(folder, "0001", None, 'op.create_table("note", sa.Column("n", sa.Integer))')
    migrate(database, tree)
    with database.write() as session:
        session.execute(text("UPDATE notes_version SET version_num = '0009'"))
    with pytest.raises(FailedPrecondition, match="revision 0009, which this version does not know"):
        migrate(database, tree)


NOTE = 'op.create_table("note", sa.Column("n", sa.Integer), sa.Column("s", sa.Text))'


def test_a_service_waits_for_its_revision_and_names_it(database: Database, folder: Path) -> None:
    first = revision(folder, "0001", None, NOTE)
    second = revision(folder, "0002", "0001", 'op.add_column("note", sa.Column("m", sa.Integer))')
    require_head(database, second)
    expected = (
        "The notes database is at revision {}, this version needs 0002. Run `modelyard migrate`."
    )
    assert database.problem() == expected.format("none")
    migrate(database, first)
    assert database.problem() == expected.format("0001")
    with pytest.raises(Unavailable, match="needs 0002"), database.write():
        pytest.fail("it wrote to a schema it does not know")
    migrate(database, second)
    assert database.problem() == ""
    with database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM note")) == 0


def test_a_service_does_not_work_with_a_newer_schema(database: Database, folder: Path) -> None:
    first = revision(folder, "0001", None, NOTE)
    migrate(database, revision(folder, "0002", "0001", "pass"))
    require_head(database, first)
    assert database.problem() == (
        "The notes database is at revision 0002, this version needs 0001. Use a newer Modelyard."
    )


@pytest.mark.postgres
def test_of_many_processes_that_migrate_at_once_one_does(folder: Path) -> None:
    tree = revision(folder, "0001", None, NOTE)
    url = postgres.server().create()

    def work(_: int) -> str | None:
        with closing(open_database(url)) as database:
            migrate(database, tree)
            return current(database, tree)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == ["0001"] * 4


@pytest.mark.postgres
def test_new_text_columns_sort_by_code_point_and_those_of_others_are_left_alone(
    folder: Path,
) -> None:
    with closing(open_database(postgres.server().create())) as database:
        with database.write() as session:
            session.execute(text("CREATE TABLE theirs (s TEXT)"))
        migrate(database, revision(folder, "0001", None, NOTE))
        later = 'op.add_column("note", sa.Column("later", sa.String(9)))'
        migrate(database, revision(folder, "0002", "0001", later))
        with database.read() as session:
            found = session.execute(
                text(
                    "SELECT table_name, column_name, collation_name "
                    "FROM information_schema.columns WHERE column_name IN ('s', 'later')"
                )
            )
            collations = {(table, column): collation for table, column, collation in found}
    assert collations == {("note", "s"): "C", ("note", "later"): "C", ("theirs", "s"): None}


def test_a_database_that_holds_something_else_is_refused(folder: Path, database: Database) -> None:
    with database.write() as session:
        session.execute(text("CREATE TABLE note (n INTEGER)"))
    with pytest.raises(
        FailedPrecondition,
        match=r'^The database notes cannot be used: .*(note" already exists|of another service)',
    ):
        migrate(database, revision(folder, "0001", None, NOTE))


def test_a_database_of_another_service_is_not_taken_for_an_empty_one(
    folder: Path, database: Database
) -> None:
    with database.write() as session:
        session.execute(text("CREATE TABLE idempotent_reply (key INTEGER)"))
    tree = revision(folder, "0001", None, NOTE)
    with pytest.raises(FailedPrecondition, match="has tables of another service or application"):
        migrate(database, tree)
    require_head(database, tree)
    assert "has tables of another service or application" in database.problem()
