from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from modelyard_kit.db import Database, open_database
from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.migrations import Tree, current, migrate

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
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/x.db")
    yield database
    database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    (folder / "versions").mkdir(parents=True)
    return folder


def revision(folder: Path, name: str, down: str | None, upgrade: str) -> Tree:
    source = REVISION.format(revision=name, down=repr(down), upgrade=upgrade)
    (folder / "versions" / f"{name}.py").write_text(source, encoding="utf-8")
    return Tree("notes", folder, name)


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
