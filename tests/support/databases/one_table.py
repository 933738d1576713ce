"""A database with one table, for tests of transactions rather than of tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, Table, text
from tests.support.databases.dialects import Dialect, with_tables

from modelyard_kit.db.base import Database

T = Table("t", MetaData(), Column("n", Integer))


@contextmanager
def database_of_one_table(dialect: Dialect, folder: Path) -> Iterator[Database]:
    """Open a database that has the table `t`, whose column `n` holds integers."""
    with with_tables(dialect, folder, T.metadata) as database:
        yield database


def rows(database: Database) -> int:
    """Return the number of rows in the table, read in a transaction of its own."""
    with database.read() as session:
        count: int = session.execute(text("SELECT count(*) FROM t")).scalar_one()
        return count


def insert(database: Database) -> None:
    """Add a row in a transaction of its own."""
    with database.write() as session:
        session.execute(text("INSERT INTO t VALUES (1)"))
