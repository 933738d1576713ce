"""The databases of the services: their migrations, and their location in a home."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL

import modelyard_registry.app
import modelyard_tracking.app
from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_kit.errors import FailedPrecondition
from modelyard_server.processes.home import identity_file, resolved

MIGRATIONS_BY_SERVICE = {
    "tracking": modelyard_tracking.app.MIGRATIONS,
    "registry": modelyard_registry.app.MIGRATIONS,
}
"""The schema revisions of the services that have a database, by area."""

_CONNECTIONS = 24  # for 20 threads of calls, plus watches, tokens and probes


def open_own(area: str, url: str, home: Path) -> Database:
    """Open the database of a service, whatever its schema.

    Args:
        area: "tracking" or "registry".
        url: URL of the database; empty for a SQLite file in the home.
        home: Home folder for that file.

    Raises:
        InvalidArgument: The URL is malformed or of an unsupported database, or the home cannot be
            resolved.
        FailedPrecondition: A SQLite file is in use, cannot be read and written, or is missing from
            the home of an installation.
    """
    if not url:
        file = file_of(area, home)
        problem = missing(area, home)
        if problem:
            raise FailedPrecondition(problem)
        return open_database(URL.create("sqlite", database=str(file)), _CONNECTIONS)
    return open_database(url, _CONNECTIONS)


def file_of(area: str, home: Path) -> Path:
    """Return the path of a service's SQLite file in a home."""
    return resolved(home) / f"{area}.db"


def missing(area: str, home: Path) -> str:
    """Return a problem if a database is missing from the home of an installation; else empty.

    An empty file is a missing one: SQLite would take it for a new database.
    """
    file = file_of(area, home)
    if file.is_dir() or (file.is_file() and file.stat().st_size):
        return ""
    others = (file_of(other, home) for other in MIGRATIONS_BY_SERVICE if other != area)
    if not identity_file(resolved(home)).exists() and not any(map(_has_tables, others)):
        return ""
    state = "empty" if file.is_file() else "missing"
    return (
        f"The database {file} is {state}, but the home has been used. Put the file back, restore a "
        "backup into a new home (modelyard restore BACKUP --home NEW), or start with an empty home."
    )


def _has_tables(file: Path) -> bool:
    if not file.is_file() or not file.stat().st_size:
        return False
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.Error:
        return True  # a damaged file, of which the service reports more
    return found is not None
