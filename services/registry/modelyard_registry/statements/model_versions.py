"""Statements on versions and their tags."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from modelyard_kit.db.statements import Statement, among, collected, listed
from modelyard_kit.references.stages import Stage
from modelyard_registry.models import (
    READY,
    DamagedManifest,
    ModelAlias,
    ModelName,
    ModelVersion,
    ModelVersionTag,
    table_of,
)
from modelyard_registry.rules.history import Path, cells
from modelyard_registry.search.restriction import RESTRICTIONS
from modelyard_registry.statements.registered_models import Pointer, Tag

_COLUMNS = (
    "stage",
    "source",
    "run_id",
    "experiment_id",
    "run_link",
    "model_id",
    "description",
    "user_id",
    "status",
    "digest",
    "has_model",
    "unverified_reason",
    "created_ms",
    "updated_ms",
    "revision",
)
"""The columns of a version that its document has."""


class Version(NamedTuple):
    """A version with what replies show of it.

    Attributes:
        has_model: Whether the files have `MLmodel` at their root; None if unknown.
        unverified_reason: Why an imported version is not verified.
        model_revision: Revision of its model when the version was read.
        damage: Which bytes are wrong or missing in the store; None if none are known to be.
    """

    name: str
    version: int
    stage: str
    source: str
    run_id: str | None
    experiment_id: str | None
    run_link: str | None
    model_id: str | None
    description: str | None
    user_id: str
    status: str
    digest: str | None
    has_model: bool | None
    unverified_reason: str | None
    created_ms: int
    updated_ms: int
    revision: int
    model_revision: int
    damage: str | None
    aliases: list[Pointer]
    tags: list[Tag]

    @property
    def etag(self) -> str:
        return str(self.revision)

    @property
    def verified(self) -> bool:
        """Whether the version is pinned to bytes in the store; a foreign source has no digest."""
        return self.digest is not None

    @property
    def paths(self) -> tuple[Path, ...]:
        return (("versions", str(self.version)),)

    @property
    def cells(self) -> dict[Path, Any]:
        path = ("versions", str(self.version))
        inside: dict[Path, Any] = {(*path, "tags"): {}}
        return inside | cells(self, path, _COLUMNS)

    def path_of(self, column: str) -> Path:
        return ("versions", str(self.version), column)


class VersionTag(NamedTuple):
    """A tag of a version."""

    name: str
    version: int
    key: str
    value: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path_of("value"),)

    @property
    def cells(self) -> dict[Path, Any]:
        return {self.path_of("value"): self.value}

    def path_of(self, _column: str) -> Path:
        return ("versions", str(self.version), "tags", self.key)


_names = table_of(ModelName)
_versions = table_of(ModelVersion)
_tags = table_of(ModelVersionTag)
_aliases = table_of(ModelAlias)
_damaged = table_of(DamagedManifest)
_shown_aliases = _aliases.alias()
_is_of_name = _versions.c.name == bindparam("name")
_is_numbered = and_(_is_of_name, _versions.c.version == bindparam("version"))
_is_in_stage = and_(_is_of_name, _versions.c.stage == bindparam("in_stage"))
_exclusive: list[ColumnElement[str]] = [
    literal_column(f"'{stage}'") for stage in Stage if stage.is_exclusive
]
# The second condition says that the index of holders has the row.
_is_holder = and_(_is_in_stage, _versions.c.stage.in_(_exclusive))
_ONE = literal_column("1", Integer())


def _shown(*conditions: ColumnElement[bool], of: FromClause = _versions) -> Select[Any]:
    """Return the SELECT of versions.

    Args:
        *conditions: Conditions of the versions.
        of: The table of versions, or a join of it.
    """
    tags = select(_tags.c.key, _tags.c.value).where(
        _tags.c.name == _versions.c.name, _tags.c.version == _versions.c.version
    )
    aliases = select(_shown_aliases.c.alias, _shown_aliases.c.version).where(
        _shown_aliases.c.name == _versions.c.name,
        _shown_aliases.c.version == _versions.c.version,
    )
    with_names = of.join(_names, _names.c.name == _versions.c.name)
    with_damage = with_names.outerjoin(_damaged, _damaged.c.digest == _versions.c.digest)
    columns = (
        *_versions.c,
        _names.c.revision.label("model_revision"),
        _damaged.c.damage,
        collected(Pointer, aliases.correlate(_versions)).label("aliases"),
        collected(Tag, tags.correlate(_versions)).label("tags"),
    )
    return select(*columns).select_from(with_damage).where(*conditions)


def _statement(source: Select[Any]) -> Statement[Version]:
    return Statement(source, Version, restrictions=RESTRICTIONS)


def _highest(source: Select[Any]) -> Select[Any]:
    return source.order_by(_versions.c.version.desc()).limit(_ONE)


def _latest() -> Select[Any]:
    of_stages = (
        select(
            _versions.c.name,
            func.min(_versions.c.version).label("lowest"),
            func.max(_versions.c.version).label("highest"),
        )
        .where(among(_versions.c.name, listed("names")), among(_versions.c.stage, listed("stages")))
        .group_by(_versions.c.name, _versions.c.stage)
        .subquery()
    )
    highest = and_(_versions.c.name == of_stages.c.name, _versions.c.version == of_stages.c.highest)
    both = _versions.join(of_stages, highest)
    return _shown(of=both).order_by(_versions.c.name, of_stages.c.lowest)


VERSION: Final = _statement(_shown(_is_numbered))
VERSIONS: Final = _statement(_shown(_is_of_name).order_by(_versions.c.version))
HIGHEST: Final = _statement(_highest(_shown(_is_of_name)))
HIGHEST_IN_STAGE: Final = _statement(_highest(_shown(_is_in_stage)))
HOLDER: Final = _statement(_shown(_is_holder))
VERSION_AND_HOLDER: Final = _statement(_shown(or_(_is_numbered, _is_holder)))
VERSION_OF_ALIAS: Final = _statement(
    _shown(
        _aliases.c.name == bindparam("name"),
        _aliases.c.alias == bindparam("alias"),
        of=_aliases.join(
            _versions,
            and_(_versions.c.name == _aliases.c.name, _versions.c.version == _aliases.c.version),
        ),
    )
)
VERSION_OF_MANIFEST: Final = _statement(
    _shown(_versions.c.digest == bindparam("digest"))
    .order_by(_versions.c.name, _versions.c.version)
    .limit(_ONE)
)
HIGHEST_OF_STAGES: Final = _statement(_latest())
"""The highest version in each stage, the stages in the order of their lowest versions."""
KEPT: Final = Statement[tuple[int]](
    select(_versions.c.version).where(_is_numbered).with_for_update(read=True, key_share=True),
    restrictions=RESTRICTIONS,
)
"""The number of a version, which is locked against deletion."""
NUMBERS: Final = Statement[tuple[int]](
    select(_versions.c.version).where(_is_of_name), restrictions=RESTRICTIONS
)
is_ready = and_(
    _versions.c.status == literal_column(f"'{READY}'"),
    ~exists().where(_damaged.c.digest == _versions.c.digest),
)
"""The condition that a version can be served."""
READY_NUMBERS: Final = Statement[tuple[int]](
    select(_versions.c.version).where(_is_of_name, is_ready), restrictions=RESTRICTIONS
)
TAGS: Final = Statement(
    select(_tags).where(_tags.c.name == bindparam("name")), VersionTag, restrictions=RESTRICTIONS
)
