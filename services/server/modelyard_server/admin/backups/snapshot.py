"""Reads a consistent snapshot of a database, also while a service writes to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Column,
    Connection,
    MetaData,
    Table,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from modelyard_kit.db.migrations import Migrations
from modelyard_kit.db.open import open_database
from modelyard_kit.errors import FailedPrecondition, InvalidArgument
from modelyard_registry.models import Base as RegistryBase
from modelyard_server.admin.backups.contents import ServiceDump, TableFile
from modelyard_server.admin.backups.rows import write_rows
from modelyard_tracking.models import Base as TrackingBase

_ROWS_AT_ONCE = 1_000
# Marks of damaged bytes describe the store: a restored one has verified objects.
_OF_THE_STORE = {"damaged_manifest", "damaged_object"}
# Revisions only add tables, so the newest revision has all of them.
_OURS = {
    "registry": frozenset(RegistryBase.metadata.tables) - _OF_THE_STORE,
    "tracking": frozenset(TrackingBase.metadata.tables) - _OF_THE_STORE,
}


@contextmanager
def snapshot(url: str | URL) -> Iterator[Connection]:
    """Open a read-only transaction with a consistent snapshot.

    A SQLite file may be open in the process that owns it: it is read through a second connection
    that cannot write.

    Raises:
        InvalidArgument: The URL is malformed.
        FailedPrecondition: The file does not exist.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError of an invalid port
        raise InvalidArgument("The database URL is malformed.") from None
    opened = _sqlite(parsed) if parsed.drivername == "sqlite" else _postgres(parsed)
    with opened as connection:
        yield connection


@contextmanager
def _sqlite(url: URL) -> Iterator[Connection]:
    path = Path(url.database or "")
    if not path.is_file():
        raise FailedPrecondition(f"The database {path.name} does not exist.")
    uri = f"{path.resolve().as_uri()}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=20)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN DEFERRED"))
    with engine.connect() as connection:
        # The snapshot is taken by the first read.
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        yield connection
    engine.dispose()


@contextmanager
def _postgres(url: URL) -> Iterator[Connection]:
    database = open_database(url, pool_size=1)
    options: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        with database.engine.connect().execution_options(**options) as connection:
            for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
                connection.execute(text(f"SET LOCAL {limit} = 0"))
            yield connection
    finally:
        database.close()


def tables_of(connection: Connection, tree: Migrations) -> list[Table]:
    """Return the present tables of a service, each after those that it refers to.

    A schema of PostgreSQL may also hold tables of other applications.
    """
    inspector = inspect(connection)
    ordered = [name for name, _ in inspector.get_sorted_table_and_fkc_names() if name is not None]
    return [
        Table(
            name,
            MetaData(),
            *(Column(column["name"], column["type"]) for column in inspector.get_columns(name)),
        )
        for name in ordered
        if name in _OURS[tree.service]
    ]


def dump(connection: Connection, tree: Migrations, folder: Path) -> ServiceDump:
    """Write every row of a service's tables to the backup's folder of that service.

    Raises:
        FailedPrecondition: The database has no schema of the service, or a newer one.
    """
    if not inspect(connection).has_table(tree.version_table):
        raise FailedPrecondition(
            f"The {tree.service} database is empty, so there is nothing to back up. Check its URL."
        )
    revision = connection.scalar(text(f"SELECT version_num FROM {tree.version_table}"))  # noqa: S608 - our own constant
    if str(revision) > tree.head:  # revisions are numbered
        raise FailedPrecondition(
            f"The {tree.service} database is at revision {revision}; this version supports "
            f"revisions up to {tree.head}. Use a newer Modelyard.",
            revision=str(revision),
        )
    (folder / tree.service).mkdir(mode=0o700)
    tables = {
        table.name: _dump_table(connection, table, folder, tree.service)
        for table in tables_of(connection, tree)
    }
    return ServiceDump(str(revision), tables)


def _dump_table(connection: Connection, table: Table, folder: Path, service: str) -> TableFile:
    file = f"{service}/{table.name}.jsonl.gz"
    streamed = connection.execution_options(stream_results=True, yield_per=_ROWS_AT_ONCE)
    with streamed.execute(select(table)) as rows:
        count, sha256 = write_rows(folder / file, rows)
    return TableFile(file, [column.name for column in table.columns], count, sha256)
