"""The tables of registered models and API tokens, and the clock that all histories share."""

from __future__ import annotations

import json

from sqlalchemy import BigInteger, ForeignKey, ForeignKeyConstraint, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from modelyard_registry.models.base import Base, Chained

_NAME = String(256)
_ONE_HOLDER = text("stage IN ('Staging', 'Production')")


class ModelName(Base):
    """The version counter of a name and the head of its history, which outlive the model.

    Locked first.
    """

    __tablename__ = "model_name"

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
    next_version: Mapped[int] = mapped_column(BigInteger)
    head_hash: Mapped[str] = mapped_column(String(64))
    renamed_from: Mapped[str | None] = mapped_column(_NAME)


class RegisteredModel(Base):
    __tablename__ = "registered_model"

    name: Mapped[str] = mapped_column(ForeignKey(ModelName.name), primary_key=True)
    description: Mapped[str | None] = mapped_column(String(5000))
    user_id: Mapped[str] = mapped_column(String(256))
    deployment_job_id: Mapped[str | None] = mapped_column(String(250))
    deletion_protection: Mapped[bool]
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger, index=True)

    names: Mapped[ModelName] = relationship(viewonly=True, lazy="joined", innerjoin=True)
    tags: Mapped[list[RegisteredModelTag]] = relationship(
        viewonly=True, order_by="RegisteredModelTag.key"
    )
    aliases: Mapped[list[ModelAlias]] = relationship(
        viewonly=True,
        order_by="ModelAlias.alias",
        primaryjoin="RegisteredModel.name == foreign(ModelAlias.name)",
    )

    @property
    def revision(self) -> int:
        return self.names.revision

    @property
    def etag(self) -> str:
        return str(self.revision)


class RegisteredModelTag(Base):
    __tablename__ = "registered_model_tag"

    name: Mapped[str] = mapped_column(
        ForeignKey(RegisteredModel.name, onupdate="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class DamagedManifest(Base):
    """A manifest whose bytes, or those of its files, are wrong or missing in the store.

    It describes the store, not the model: it is not part of a document, and backups leave it out.
    """

    __tablename__ = "damaged_manifest"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    damage: Mapped[str] = mapped_column(String(2000))


class ModelVersion(Base):
    __tablename__ = "model_version"
    __table_args__ = (
        Index(
            "one_holder_per_stage",
            "name",
            "stage",
            unique=True,
            sqlite_where=_ONE_HOLDER,
            postgresql_where=_ONE_HOLDER,
        ),
    )

    name: Mapped[str] = mapped_column(
        ForeignKey(RegisteredModel.name, onupdate="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    stage: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(2048))
    run_id: Mapped[str | None] = mapped_column(String(256), index=True)
    experiment_id: Mapped[str | None] = mapped_column(String(64))
    run_link: Mapped[str | None] = mapped_column(String(500))
    model_id: Mapped[str | None] = mapped_column(String(34))
    description: Mapped[str | None] = mapped_column(String(5000))
    user_id: Mapped[str] = mapped_column(String(256))
    status: Mapped[str] = mapped_column(String(20))
    digest: Mapped[str | None] = mapped_column(String(64), index=True)
    has_model: Mapped[bool | None]
    """Whether the files have `MLmodel` at their root; None if unknown."""
    unverified_reason: Mapped[str | None] = mapped_column(String(5000))
    """Why an imported version is not verified."""
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    revision: Mapped[int] = mapped_column(BigInteger)

    tags: Mapped[list[ModelVersionTag]] = relationship(
        viewonly=True, order_by="ModelVersionTag.key"
    )
    aliases: Mapped[list[ModelAlias]] = relationship(viewonly=True, order_by="ModelAlias.alias")
    damaged: Mapped[DamagedManifest | None] = relationship(
        viewonly=True, primaryjoin="foreign(ModelVersion.digest) == DamagedManifest.digest"
    )

    @property
    def damage(self) -> str | None:
        """Which bytes are wrong or missing in the store; `None` if none are known to be."""
        return None if self.damaged is None else self.damaged.damage

    @property
    def etag(self) -> str:
        return str(self.revision)

    @property
    def verified(self) -> bool:
        """Whether the version is pinned to bytes in the store; a foreign source has no digest."""
        return self.digest is not None


READY, FAILED_REGISTRATION = "READY", "FAILED_REGISTRATION"


class ModelVersionTag(Base):
    __tablename__ = "model_version_tag"
    __table_args__ = (
        ForeignKeyConstraint(
            ["name", "version"], [ModelVersion.name, ModelVersion.version], onupdate="CASCADE"
        ),
    )

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class ModelAlias(Base):
    __tablename__ = "model_alias"
    __table_args__ = (
        ForeignKeyConstraint(
            ["name", "version"], [ModelVersion.name, ModelVersion.version], onupdate="CASCADE"
        ),
        Index("aliases_of_version", "name", "version"),
    )

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    alias: Mapped[str] = mapped_column(String(255), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)


class Event(Chained, Base):
    """One change of one model's name."""

    __tablename__ = "event"

    name: Mapped[str] = mapped_column(ForeignKey(ModelName.name), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    version: Mapped[int | None] = mapped_column(BigInteger)

    @property
    def number(self) -> str:
        return "" if self.version is None else str(self.version)


class Imported(Base):
    """Maps the id of an imported model or version at its origin to the model here.

    A repeated import finds its model by this row. The row follows a rename of the model and is
    deleted with it. It is provenance, not content, so it is not part of the document.
    """

    __tablename__ = "imported"

    origin: Mapped[str] = mapped_column(String(256), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    """`model` or `version`."""
    origin_id: Mapped[str] = mapped_column(String(300), primary_key=True)
    """Name of the model, or `name/number` of the version, at the origin."""
    name: Mapped[str] = mapped_column(
        ForeignKey(RegisteredModel.name, onupdate="CASCADE", ondelete="CASCADE"), index=True
    )


class RegistryClock(Base):
    """Single row: the number of changes of all names."""

    __tablename__ = "clock"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ticks: Mapped[int] = mapped_column(BigInteger)


class ApiToken(Base):
    """An API token. Tokens expire or are revoked; rows are never deleted."""

    __tablename__ = "api_token"

    id: Mapped[str] = mapped_column(String(10), primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    models: Mapped[str] = mapped_column(Text)
    """Name patterns, as a JSON list."""
    experiments: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(256))
    created_ms: Mapped[int] = mapped_column(BigInteger)
    expires_ms: Mapped[int | None] = mapped_column(BigInteger)
    revoked_ms: Mapped[int | None] = mapped_column(BigInteger)
    revoked_by: Mapped[str | None] = mapped_column(String(256))

    @property
    def model_patterns(self) -> list[str]:
        return list(json.loads(self.models))

    @property
    def experiment_patterns(self) -> list[str]:
        return list(json.loads(self.experiments))


class ApiTokenRevision(Base):
    """Single row: the number of token creations and revocations."""

    __tablename__ = "api_token_revision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(BigInteger)
