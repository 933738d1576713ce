"""The databases a test runs on: a SQLite file, or a database of the process's PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

import postgres
from sqlalchemy import MetaData

from modelyard_kit.db import Database, open_database
from modelyard_kit.migrations import Tree, migrate

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")


@cache
def migrated_url(dialect: Dialect, folder: Path, tree: Tree) -> str:
    """Return the URL of a service's database, the same one each time; made when first asked for.

    Args:
        dialect: Which kind.
        folder: Of the test: SQLite's file is in it, and tells the databases of tests apart.
        tree: The service's revisions, to whose head the database is brought.
    """
    if dialect == "postgresql":
        return postgres.server().migrated(tree)
    url = f"sqlite:///{folder}/{tree.service}.db"
    database = open_database(url)
    migrate(database, tree)
    database.close()
    return url


def open_migrated(dialect: Dialect, folder: Path, tree: Tree) -> Database:
    """Open a service's database at the head of its revisions."""
    return open_database(migrated_url(dialect, folder, tree))


@contextmanager
def with_tables(dialect: Dialect, folder: Path, tables: MetaData) -> Iterator[Database]:
    """Open a database that has these tables, as a migration makes them."""
    with closing(open_database(empty_url(dialect, folder))) as database:
        with database.migrating() as connection:
            tables.create_all(connection)
        yield database


def empty_url(dialect: Dialect, folder: Path) -> str:
    """Make a database without tables and return its URL."""
    if dialect == "postgresql":
        return postgres.server().create()
    return f"sqlite:///{folder}/x.db"
