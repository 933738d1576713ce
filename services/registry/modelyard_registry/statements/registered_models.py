"""Statements on registered models, their names, tags and aliases."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from modelyard_kit.db.statements import Statement, among, collected, listed
from modelyard_registry.models import (
    ModelAlias,
    ModelName,
    RegisteredModel,
    RegisteredModelTag,
    table_of,
)
from modelyard_registry.rules.history import Path, cells
from modelyard_registry.search.restriction import RESTRICTIONS


class Names(NamedTuple):
    """The version counter of a name and the head of its history, which outlive the model."""

    name: str
    revision: int
    next_version: int
    head_hash: str
    renamed_from: str | None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(self.cells)

    @property
    def cells(self) -> dict[Path, Any]:
        return cells(self, (), ("next_version", "renamed_from"))

    def path_of(self, column: str) -> Path:
        return (column,)


class Model(NamedTuple):
    """A registered model, without its parts."""

    name: str
    description: str | None
    user_id: str
    deployment_job_id: str | None
    deletion_protection: bool
    created_ms: int
    updated_ms: int

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("model",), ("tags",), ("aliases",), ("versions",))

    @property
    def cells(self) -> dict[Path, Any]:
        inside: dict[Path, Any] = {("tags",): {}, ("aliases",): {}, ("versions",): {}}
        return inside | cells(self, ("model",), self._fields[1:])

    def path_of(self, column: str) -> Path:
        return ("model", column)


class ModelTag(NamedTuple):
    """A tag of a registered model."""

    name: str
    key: str
    value: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("tags", self.key),)

    @property
    def cells(self) -> dict[Path, Any]:
        return {("tags", self.key): self.value}

    def path_of(self, _column: str) -> Path:
        return ("tags", self.key)


class Alias(NamedTuple):
    """A movable name for a version."""

    name: str
    alias: str
    version: int

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("aliases", self.alias),)

    @property
    def cells(self) -> dict[Path, Any]:
        return {("aliases", self.alias): self.version}

    def path_of(self, _column: str) -> Path:
        return ("aliases", self.alias)


class Tag(NamedTuple):
    """Key and value of a tag, as replies show it."""

    key: str
    value: str


class Pointer(NamedTuple):
    """Name and target of an alias, as replies show it."""

    alias: str
    version: int


class ShownModel(NamedTuple):
    """A registered model with what replies show of its parts.

    Attributes:
        revision: Revision of its name.
    """

    name: str
    description: str | None
    user_id: str
    deployment_job_id: str | None
    deletion_protection: bool
    created_ms: int
    updated_ms: int
    revision: int
    tags: list[Tag]
    aliases: list[Pointer]

    @property
    def etag(self) -> str:
        return str(self.revision)


_names = table_of(ModelName)
_models = table_of(RegisteredModel)
_tags = table_of(RegisteredModelTag)
_aliases = table_of(ModelAlias)

LOCKED_NAMES: Final = Statement(
    select(_names).where(_names.c.name == bindparam("name")).with_for_update(),
    Names,
    restrictions=RESTRICTIONS,
)
"""The row of a name, locked before anything else of the name is read."""
LOCKED: Final = Statement[tuple[str]](
    select(_names.c.name)
    .where(among(_names.c.name, listed("names")))
    .order_by(_names.c.name)
    .with_for_update(),
    restrictions=RESTRICTIONS,
)
"""Several names, locked in a fixed order."""
NAMES: Final = Statement(
    select(_names).where(_names.c.name == bindparam("name")), Names, restrictions=RESTRICTIONS
)
MODEL: Final = Statement(
    select(_models).where(_models.c.name == bindparam("name")), Model, restrictions=RESTRICTIONS
)
SHOWN_MODEL: Final = Statement(
    select(
        _models,
        _names.c.revision,
        collected(
            Tag, select(_tags.c.key, _tags.c.value).where(_tags.c.name == _models.c.name)
        ).label("tags"),
        collected(
            Pointer,
            select(_aliases.c.alias, _aliases.c.version).where(_aliases.c.name == _models.c.name),
        ).label("aliases"),
    )
    .select_from(_models.join(_names, _names.c.name == _models.c.name))
    .where(_models.c.name == bindparam("name")),
    ShownModel,
    restrictions=RESTRICTIONS,
)
TAG: Final = Statement(
    select(_tags).where(_tags.c.name == bindparam("name"), _tags.c.key == bindparam("key")),
    ModelTag,
    restrictions=RESTRICTIONS,
)
TAGS: Final = Statement(
    select(_tags).where(_tags.c.name == bindparam("name")), ModelTag, restrictions=RESTRICTIONS
)
ALIAS: Final = Statement(
    select(_aliases).where(
        _aliases.c.name == bindparam("name"), _aliases.c.alias == bindparam("alias")
    ),
    Alias,
    restrictions=RESTRICTIONS,
)
ALIASES: Final = Statement(
    select(_aliases).where(_aliases.c.name == bindparam("name")), Alias, restrictions=RESTRICTIONS
)
