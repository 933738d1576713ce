"""Advisory and table locks of PostgreSQL, held until the transaction ends.

SQLite has one writer at a time and needs no such locks: there, these functions do nothing.
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.orm import DeclarativeBase, Session

# Keys of advisory locks. A database has one namespace for them, so all of ours are here.
MIGRATIONS = 7_266_347_195
"""Serializes the processes that migrate a database."""
FIRST_IMPORTS = 7_266_347_196
"""Serializes the transactions that choose a free name for a model imported for the first time."""


def hold(transaction: Connection | Session, key: int) -> None:
    """Acquire an advisory lock, waiting for it if necessary.

    Args:
        transaction: Open write transaction.
        key: Key of the lock, a constant of this module.
    """
    if _has_several_writers(transaction):
        transaction.execute(text(f"SELECT pg_advisory_xact_lock({key:d})"))


def hold_table(transaction: Connection | Session, rows: type[DeclarativeBase]) -> None:
    """Wait for all other writers of a table and exclude them; readers are not affected.

    Args:
        transaction: Open write transaction.
        rows: Mapped class of the table.
    """
    if _has_several_writers(transaction):
        transaction.execute(text(f"LOCK TABLE {rows.__tablename__} IN SHARE ROW EXCLUSIVE MODE"))


def _has_several_writers(transaction: Connection | Session) -> bool:
    bind = transaction.get_bind() if isinstance(transaction, Session) else transaction
    return bind.dialect.name == "postgresql"
