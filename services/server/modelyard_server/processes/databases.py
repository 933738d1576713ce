"""The databases of the services: their migrations, and their location in a home."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL

import modelyard_registry.app
import modelyard_tracking.app
from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_server.processes.home import resolved

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
        FailedPrecondition: A SQLite file is in use, or cannot be read and written.
    """
    if not url:
        file = resolved(home) / f"{area}.db"
        return open_database(URL.create("sqlite", database=str(file)), _CONNECTIONS)
    return open_database(url, _CONNECTIONS)
