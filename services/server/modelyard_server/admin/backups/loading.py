"""Loads the rows of a backup into an empty database, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Integer, Table, delete, func, insert, inspect, select, text
from sqlalchemy.orm import Session

from modelyard_kit.db.base import Database, usable
from modelyard_kit.db.migrations import Migrations, current, upgrade
from modelyard_kit.errors import DataLoss, FailedPrecondition
from modelyard_registry.models import EndpointEvent, EndpointName, Event, ModelName
from modelyard_registry.operations import chains
from modelyard_server.admin.backups.contents import ServiceDump, TableFile
from modelyard_server.admin.backups.rows import read_rows
from modelyard_server.admin.backups.snapshot import tables_of

_ROWS_AT_ONCE = 1_000


def require_empty(database: Database, tree: Migrations) -> None:
    """Refuse a database that has Modelyard's tables.

    Raises:
        FailedPrecondition: The database is not empty.
    """
    revision = current(database, tree)
    if revision is not None:
        raise FailedPrecondition(
            f"The {tree.service} database is not empty: it is at revision {revision}. A backup can "
            "only be restored into new databases; name others, or another home."
        )


@contextmanager
def loaded(
    database: Database, tree: Migrations, dump: ServiceDump, folder: Path
) -> Iterator[Connection]:
    """Load a dump in a transaction that is committed at the end of the block.

    The schema is migrated to the dump's revision, and to this version's once the rows are loaded.

    Raises:
        FailedPrecondition: The dump is of a newer version, or the database cannot be written.
        DataLoss: A table of the dump does not match the schema.
    """
    with usable(tree.service, database.remedy), database.migrating() as connection:
        upgrade(connection, tree, dump.revision)
        tables = tables_of(connection, tree)
        if {table.name for table in tables} != set(dump.tables):
            raise DataLoss(f"The backup's tables of {tree.service} do not match its revision.")
        _empty(connection, tables)
        for table in tables:
            _load(connection, table, dump.tables[table.name], folder)
        _count_on(connection, tables)
        upgrade(connection, tree, tree.head)
        yield connection


def verify_histories(connection: Connection) -> int:
    """Verify the hash chains of the registry; return the number of model names.

    Raises:
        DataLoss: A hash chain does not verify.
    """
    with Session(connection) as session:
        names = session.scalars(select(ModelName).order_by(ModelName.name)).all()
        for name in names:
            chains.verify(session, Event, name)
        for endpoint in session.scalars(select(EndpointName).order_by(EndpointName.name)):
            chains.verify(session, EndpointEvent, endpoint)
    return len(names)


def _empty(connection: Connection, tables: list[Table]) -> None:
    """Delete rows that migrations inserted; the dump has them, too."""
    for table in reversed(tables):
        if connection.scalar(select(func.count()).select_from(table)):
            connection.execute(delete(table))


def _load(connection: Connection, table: Table, file: TableFile, folder: Path) -> None:
    if set(file.columns) != set(table.columns.keys()):
        raise DataLoss(f"The backup's columns of {table.name} do not match its revision.")
    rows = read_rows(folder / file.file, file.rows)
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        connection.execute(
            insert(table), [dict(zip(file.columns, row, strict=True)) for row in batch]
        )


def _count_on(connection: Connection, tables: list[Table]) -> None:
    """Advance PostgreSQL's sequences beyond the loaded rows."""
    if connection.dialect.name != "postgresql":
        return  # SQLite continues from the largest number by itself
    inspector = inspect(connection)
    for table in tables:
        for key in inspector.get_pk_constraint(table.name)["constrained_columns"]:
            column = table.columns[key]
            if not isinstance(column.type, Integer):
                continue
            sequence = connection.scalar(
                text("SELECT pg_get_serial_sequence(:table, :key)"),
                {"table": table.name, "key": key},
            )
            last = connection.scalar(select(func.max(column)))
            if sequence is not None and last is not None:
                connection.execute(
                    text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last}
                )
