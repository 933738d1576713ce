"""Tables of an MLflow database by reflection, opened read-only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    MetaData,
    Row,
    Select,
    Table,
    create_engine,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from modelyard.redaction import redacted_text
from modelyard_mlflow.source import Unreachable

DEFAULT_WORKSPACE = "default"


class Tables:
    """A database and its tables.

    Args:
        uri: SQLAlchemy URL of the database.

    Raises:
        Unreachable: The database cannot be opened or read.

    Attributes:
        connection: Open read-only connection.
        shown: Address of the database without credentials.
    """

    def __init__(self, uri: str) -> None:
        self.connection, self.shown = _connect(uri)
        self._found = MetaData()
        try:
            self._found.reflect(self.connection, resolve_fks=False)
        except SQLAlchemyError as error:
            raise Unreachable(f"{self.shown} cannot be read: {_reason(error)}.") from None

    @property
    def names(self) -> set[str]:
        """Return the names of the tables."""
        return set(self._found.tables)

    def __getitem__(self, name: str) -> Table:
        return self._found.tables[name]

    def get(self, name: str) -> Table | None:
        """Return a table; None if the schema does not have it."""
        return self._found.tables.get(name)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
        self.connection.engine.dispose()

    def count(self, chosen: Select[Any]) -> int:
        """Return the number of selected rows."""
        return self.connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0

    def of_workspace(self, table: Table) -> Select[Any]:
        """Select the rows that a client without workspaces sees."""
        chosen = select(table)
        if "workspace" in table.c:
            chosen = chosen.where(table.c.workspace == DEFAULT_WORKSPACE)
        return chosen

    def all(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        """Return the selected rows."""
        return self.connection.execute(statement).all()

    def pairs(
        self, name: str, owner: str, key: str, value: str, ids: Sequence[str] | None
    ) -> dict[str, list[tuple[str, str]]]:
        """Return (key, value) pairs by owner; of all owners if `ids` is None."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        table = self.get(name)
        if table is None:
            return found
        chosen = self.of_workspace(table).order_by(table.c[owner], table.c[key])
        if ids is not None:
            chosen = chosen.where(table.c[owner].in_(ids))
        for row in self.connection.execute(chosen).mappings():
            text = row[value]
            found[str(row[owner])].append((row[key], "" if text is None else str(text)))
        return found


def _connect(uri: str) -> tuple[Connection, str]:
    try:
        url = _parsed(uri)
        bare = URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
        name = bare.render_as_string()
        if url.get_backend_name() == "sqlite":
            url = _read_only(url)
        engine = create_engine(url)
        connection = engine.connect()
    except (ArgumentError, NoSuchModuleError, ValueError):  # ValueError: the port is not a number
        raise Unreachable(
            "The database URL is malformed: expected sqlite:////path/to/mlflow.db or "
            "postgresql://user:password@host/name."
        ) from None
    except ModuleNotFoundError as missing:
        raise Unreachable(
            f"This database requires the driver '{missing.name}'; install it."
        ) from None
    except SQLAlchemyError as error:
        raise Unreachable(f"The database cannot be opened: {_reason(error)}.") from None
    return connection, name


def _parsed(uri: str) -> URL:
    url = make_url(uri)
    if url.get_backend_name() != "sqlite" and "@" in f"{url.host}{url.database}":
        raise ArgumentError  # the rest of a password whose special characters are not encoded
    return url


def _read_only(url: URL) -> URL:
    path = Path(url.database or "").absolute()
    if not path.is_file():
        raise Unreachable(f"The database file {path} does not exist.")
    quoted = path.as_uri().removeprefix("file://")
    return url.set(database=f"file:{quoted}", query={"mode": "ro", "uri": "true"})


def _reason(error: SQLAlchemyError) -> str:
    reason = str(getattr(error, "orig", None) or error).partition("\n")[0].rstrip(".")
    return redacted_text(reason)


def column(row: Row[Any], name: str) -> Any:
    """Return the value of a column; None if the schema does not have it."""
    return row._mapping.get(name)  # noqa: SLF001 - SQLAlchemy's documented name


def put(message: Any, **fields: Any) -> None:
    """Set the fields whose values are not NULL."""
    for name, value in fields.items():
        if value is not None:
            setattr(message, name, value)
