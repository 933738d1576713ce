"""Opens the database behind a URL: SQLite or PostgreSQL."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from modelyard_kit.db.base import DEFAULT_POOL_SIZE, Database
from modelyard_kit.db.sqlite import open_sqlite
from modelyard_kit.errors import FailedPrecondition, InvalidArgument

_EXPECTED = "expected postgresql://user@host/database or sqlite:////folder/file.db"


def open_database(
    url: str | URL, pool_size: int = DEFAULT_POOL_SIZE, *, pipelined: bool = True
) -> Database:
    """Open the database behind `url`, e.g. `sqlite:////var/lib/modelyard/registry.db`.

    Args:
        url: SQLAlchemy URL; as text it cannot name a file with a `?` in its path.
        pool_size: Number of pooled connections; at least the number of threads that use them.
        pipelined: On PostgreSQL, whether writes whose result is not needed yet are sent with the
            statement after them (`modelyard_kit.db.pipeline`).

    Raises:
        InvalidArgument: The URL is malformed, or its database is not supported.
        FailedPrecondition: A SQLite file is open in another process, or cannot be read and
            written. A PostgreSQL server is not contacted, since it may be reachable later.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        raise InvalidArgument(f"The database URL cannot be read; {_EXPECTED}.") from None
    if parsed.drivername != "sqlite" and "@" in f"{parsed.host}{parsed.database}":
        # The rest of a password, which drivers would name as a host or a database.
        raise InvalidArgument(
            "The database URL cannot be read; percent-encode the special characters of the "
            "password."
        )
    match parsed.drivername:
        case "sqlite":
            return open_sqlite(parsed, pool_size)
        case "postgresql" | "postgresql+psycopg":
            return _open_postgres(parsed, pool_size, pipelined=pipelined)
    raise InvalidArgument(
        f"Databases of kind '{parsed.drivername}' are not supported; {_EXPECTED}.",
        backend=parsed.drivername,
    )


def _open_postgres(url: URL, pool_size: int, *, pipelined: bool) -> Database:
    try:
        from modelyard_kit.db.postgres import open_postgres
    except ModuleNotFoundError as error:
        raise FailedPrecondition(
            "PostgreSQL needs the extra 'postgres': pip install 'modelyard[postgres]'."
        ) from error
    return open_postgres(url, pool_size, pipelined=pipelined)
