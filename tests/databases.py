"""The databases a test runs on: a SQLite file, or a database of the process's PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import postgres
from sqlalchemy import MetaData

from modelyard_kit.db import Database, open_database
from modelyard_kit.migrations import Tree, migrate

Dialect: TypeAlias = Literal["sqlite", "postgresql"]
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")

_urls: dict[tuple[Dialect, Path, str], str] = {}


def empty_url(dialect: Dialect, folder: Path, name: str = "x") -> str:
    """Make a database without tables and return its URL.

    Args:
        dialect: Which kind.
        folder: Of the test: SQLite's file is in it, and it tells the databases of tests apart.
        name: Of the service, for the databases of services.
    """
    file = f"sqlite:///{folder}/{name}.db"
    url = postgres.server().create() if dialect == "postgresql" else file
    _urls[dialect, folder, name] = url
    return url


def migrated_url(dialect: Dialect, folder: Path, tree: Tree) -> str:
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
    with closing(open_database(url)) as database:
        migrate(database, tree)
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
