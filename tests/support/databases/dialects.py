"""The databases a test runs on: a SQLite file, or a database of the process's PostgreSQL server."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from sqlalchemy import MetaData, insert, text
from tests.support.databases import postgres

from modelyard_kit.db.base import Database
from modelyard_kit.db.migrations import Migrations, migrate
from modelyard_kit.db.open import open_database

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")
BEFORE_SQL = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
"""Marks refusals that come before any SQL: once is enough for them."""
ONE_SQL = pytest.mark.parametrize("dialect", ["sqlite"], indirect=True)
"""Marks tests whose SQL is that of another test, which runs on both databases."""
PIPELINED = os.environ.get("TEST_PIPELINE") != "off"
"""Whether statements to PostgreSQL are pipelined; `make soak` also runs without."""

_urls: dict[tuple[Dialect, Path, str], str] = {}


def empty_url(dialect: Dialect, folder: Path, name: str = "x") -> str:
    """Make a database without tables and return its URL.

    Args:
        dialect: Kind of database.
        folder: Folder of the test; it contains SQLite's file and identifies the test's databases.
        name: Name of the service, for the databases of services.
    """
    file = f"sqlite:///{folder}/{name}.db"
    url = postgres.server().create() if dialect == "postgresql" else file
    _urls[dialect, folder, name] = url
    return url


def migrated_url(dialect: Dialect, folder: Path, tree: Migrations) -> str:
    """Return the URL of a service's database: that of the folder, made if there is none yet.

    A database that is made here is at the head of the service's revisions.
    """
    known = _urls.get((dialect, folder, tree.service))
    if known is not None:
        return known
    if dialect == "postgresql":
        url = postgres.server().migrated(tree)
        _urls[dialect, folder, tree.service] = url
        return url
    url = empty_url(dialect, folder, tree.service)
    (folder / f"{tree.service}.db").write_bytes(_migrated_file(tree))
    return url


@cache
def _migrated_file(tree: Migrations) -> bytes:
    """Return a SQLite file at the head of a service's revisions."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.db"
        with closing(open_database(f"sqlite:///{file}")) as database:
            migrate(database, tree)
        return file.read_bytes()


def use(folder: Path, tree: Migrations, url: str) -> None:
    """Reach a folder's PostgreSQL database of a service by another URL from now on."""
    _urls["postgresql", folder, tree.service] = url


def open_migrated(dialect: Dialect, folder: Path, tree: Migrations) -> Database:
    """Open a service's database at the head of its revisions."""
    return open_database(migrated_url(dialect, folder, tree), pipelined=PIPELINED)


@contextmanager
def with_tables(dialect: Dialect, folder: Path, tables: MetaData) -> Iterator[Database]:
    """Open a database that has these tables, as a migration makes them."""
    with closing(open_database(empty_url(dialect, folder))) as database:
        with database.migrating() as connection:
            tables.create_all(connection)
        yield database


@dataclass(frozen=True)
class Row:
    """A row of a table in the form of one revision."""

    revision: str
    """Revision that created the table."""
    table: str
    values: dict[str, Any]


REPLY = Row(
    "0001",
    "idempotent_reply",
    {
        "principal": "p",
        "key": "k",
        "method": "m",
        "request_sha256": "",
        "reply": b"",
        "created_ms": 1,
    },
)
"""The row of a table that each service has."""
INSTALLATION = Row("0006", "installation", {"area": "another", "id": "d" * 32})
"""Likewise; not the row of the service, which would belong to another store than the test's."""


def revisions_before_head(tree: Migrations) -> list[str]:
    """Return the revisions from which a database may have to be migrated to the head."""
    found = sorted(file.name[:4] for file in (tree.folder / "versions").glob("[0-9]*.py"))
    assert found[-1] == tree.head
    return found[:-1]


def upgrade(
    dialect: Dialect, folder: Path, tree: Migrations, revision: str, rows: list[Row]
) -> None:
    """Create a database at a revision, fill each of its tables, and migrate it to the head."""
    with closing(open_database(empty_url(dialect, folder, tree.service))) as database:
        migrate(database, replace(tree, head=revision))
        tables = MetaData()
        tables.reflect(database.engine)
        present = [row for row in rows if row.revision <= revision]
        with database.write() as session:
            for row in present:
                session.execute(insert(tables.tables[row.table]).values(**row.values))
            filled = {
                name
                for name in tables.tables
                if session.scalar(text(f"SELECT count(*) FROM {name}"))  # noqa: S608 - as reflected
            }
        assert filled == set(tables.tables), "a table has no row: add one to the test"
        migrate(database, tree)
