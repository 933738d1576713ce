"""Locks of PostgreSQL that are not a row's, held until the transaction ends.

SQLite has one writer at a time, which needs none: there, these functions do nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.orm import DeclarativeBase, Session

# Keys of advisory locks. They are shared by everything in a database, so all of ours are here.
MIGRATIONS = 7_266_347_195
"""One process at a time migrates a database."""
FIRST_IMPORTS = 7_266_347_196
"""One transaction at a time looks for a free name for a model that was never imported."""


def hold(transaction: Connection | Session, key: int) -> None:
    """Wait for an advisory lock and hold it.

    Args:
        transaction: Open for writing.
        key: One of this module's.
    """
    if _has_several_writers(transaction):
        transaction.execute(text(f"SELECT pg_advisory_xact_lock({key:d})"))


def hold_table(transaction: Connection | Session, rows: type[DeclarativeBase]) -> None:
    """Wait for all other writers of a table, and keep them out; readers go on.

    Args:
        transaction: Open for writing.
        rows: The class of the table's rows.
    """
    if _has_several_writers(transaction):
        transaction.execute(text(f"LOCK TABLE {rows.__tablename__} IN SHARE ROW EXCLUSIVE MODE"))


def _has_several_writers(transaction: Connection | Session) -> bool:
    bind = transaction.get_bind() if isinstance(transaction, Session) else transaction
    return bind.dialect.name == "postgresql"
