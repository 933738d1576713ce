"""The databases of the services: their revisions, and where a home has them."""

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

_CONNECTIONS = 24  # for the 20 threads of calls, and watches, tokens and probes beside them


def open_own(area: str, url: str, home: Path) -> Database:
    """Open the database of a service, under no schema in particular.

    Args:
        area: "tracking" or "registry".
        url: Where it is; empty for a SQLite file in the home.
        home: The folder of that.

    Raises:
        InvalidArgument: The URL is malformed or of a database that is not supported, or it is not
            known where the home is.
        FailedPrecondition: A SQLite file is in use, or cannot be read and written.
    """
    if not url:
        file = resolved(home) / f"{area}.db"
        return open_database(URL.create("sqlite", database=str(file)), _CONNECTIONS)
    return open_database(url, _CONNECTIONS)
