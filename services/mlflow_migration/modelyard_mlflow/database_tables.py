"""Tables of an MLflow database, as they are found there, open for reading only."""

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

from modelyard_mlflow.source import Unreachable

DEFAULT_WORKSPACE = "default"


class Tables:
    """A database and what is in it.

    Args:
        uri: Of SQLAlchemy.

    Raises:
        Unreachable: It cannot be opened or read.

    Attributes:
        connection: To it.
        shown: Its address without credentials.
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
        """The names of its tables."""
        return set(self._found.tables)

    def __getitem__(self, name: str) -> Table:
        return self._found.tables[name]

    def get(self, name: str) -> Table | None:
        """Return a table, or None if the schema does not have it."""
        return self._found.tables.get(name)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
        self.connection.engine.dispose()

    def count(self, chosen: Select[Any]) -> int:
        """Return how many rows there are."""
        return self.connection.scalar(select(func.count()).select_from(chosen.subquery())) or 0

    def of_workspace(self, table: Table) -> Select[Any]:
        """Choose the rows that are there for a client that knows of no workspaces."""
        chosen = select(table)
        if "workspace" in table.c:
            chosen = chosen.where(table.c.workspace == DEFAULT_WORKSPACE)
        return chosen

    def all(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        """Return the rows that are chosen."""
        return self.connection.execute(statement).all()

    def pairs(
        self, name: str, owner: str, key: str, value: str, ids: Sequence[str] | None
    ) -> dict[str, list[tuple[str, str]]]:
        """Return (key, value) by owner; of all owners if `ids` is None."""
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
        url = make_url(uri)
        bare = URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
        name = bare.render_as_string()
        if url.get_backend_name() == "sqlite":
            url = _read_only(url)
        engine = create_engine(url)
        connection = engine.connect()
    except (ArgumentError, NoSuchModuleError):
        raise Unreachable(
            "The database URL cannot be read: expected sqlite:////path/to/mlflow.db or "
            "postgresql://user:password@host/name."
        ) from None
    except ModuleNotFoundError as missing:
        raise Unreachable(f"This kind of database needs the driver '{missing.name}'.") from None
    except SQLAlchemyError as error:
        raise Unreachable(f"The database cannot be opened: {_reason(error)}.") from None
    return connection, name


def _read_only(url: URL) -> URL:
    path = Path(url.database or "").absolute()
    if not path.is_file():
        raise Unreachable(f"There is no database file {path}.")
    quoted = path.as_uri().removeprefix("file://")
    return url.set(database=f"file:{quoted}", query={"mode": "ro", "uri": "true"})


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0].rstrip(".")


def column(row: Row[Any], name: str) -> Any:
    """Return a column, or None where the schema does not have it."""
    return row._mapping.get(name)  # noqa: SLF001 - SQLAlchemy's documented name


def put(message: Any, **fields: Any) -> None:
    """Set fields that are not NULL."""
    for name, value in fields.items():
        if value is not None:
            setattr(message, name, value)
