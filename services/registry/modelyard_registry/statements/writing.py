"""The statements that write the rows of documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, bindparam, delete, update

from modelyard_kit.db.statements import Statement, inserting
from modelyard_registry.models import (
    ModelAlias,
    ModelName,
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
    table_of,
)
from modelyard_registry.statements.model_versions import Version, VersionTag
from modelyard_registry.statements.registered_models import Alias, Model, ModelTag, Names

_TABLES: Final[Mapping[type, Table]] = {
    Names: table_of(ModelName),
    Model: table_of(RegisteredModel),
    ModelTag: table_of(RegisteredModelTag),
    Version: table_of(ModelVersion),
    VersionTag: table_of(ModelVersionTag),
    Alias: table_of(ModelAlias),
}
_KEY = "key_"
_MAX_UPDATES = 256  # imports set any columns of a version

Write = Statement[tuple[()]]


@cache
def insertion(kind: type) -> Write:
    """Return the INSERT of a row of a kind; its columns are the parameters."""
    return Write(inserting(_TABLES[kind]))


@lru_cache(_MAX_UPDATES)
def updating(kind: type, *columns: str) -> Write:
    """Return the UPDATE of some columns of a row, which are parameters besides `key_of` it."""
    table = _TABLES[kind]
    values: dict[str, Any] = {column: bindparam(column) for column in columns}
    return Write(update(table).where(*_is_row(table)).values(values), later=True)


@cache
def deletion(kind: type) -> Write:
    """Return the DELETE of a row; its parameters are `key_of` the row."""
    table = _TABLES[kind]
    return Write(delete(table).where(*_is_row(table)), later=True)


def key_of(row: Any) -> dict[str, Any]:
    """Return the parameters that identify a row."""
    kind: type = type(row)
    columns = _key_columns(kind)
    return {_KEY + column: getattr(row, column) for column in columns}


@cache
def _key_columns(kind: type) -> tuple[str, ...]:
    return tuple(_TABLES[kind].primary_key.columns.keys())


def _is_row(table: Table) -> Iterable[ColumnElement[bool]]:
    return [column == bindparam(_KEY + column.name) for column in table.primary_key.columns]
