"""Tracking's tables, which are also its domain objects.

A text that may be absent is empty rather than NULL where it is part of a key.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from modelyard_kit.db.identity import installations
from modelyard_kit.rpc.idempotency import replies
from modelyard_tracking.rules.states import Lifecycle, ModelStatus, RunStatus

# SQLite assigns only INTEGER keys automatically.
_Number = BigInteger().with_variant(Integer, "sqlite")


def _index_where(condition: str, name: str, *columns: str) -> Index:
    """Return an index of the rows that match a condition, which other rows do not pay for."""
    where = text(condition)
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


class Base(DeclarativeBase):
    pass


replies.to_metadata(Base.metadata)
installations.to_metadata(Base.metadata)


class Experiment(Base):
    __tablename__ = "experiment"
    experiment_id: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(500), unique=True)
    lifecycle_stage: Mapped[str] = mapped_column(String(16), default=Lifecycle.ACTIVE)
    deleted_ms: Mapped[int | None] = mapped_column(BigInteger)
    """Unix time in milliseconds of the deletion, here as in the other tables."""
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(BigInteger, default=1)
    __table_args__ = ({"sqlite_autoincrement": True},)

    @property
    def etag(self) -> str:
        return f'"{self.revision}"'


class ExperimentTag(Base):
    __tablename__ = "experiment_tag"
    experiment_id: Mapped[int] = mapped_column(
        ForeignKey(Experiment.experiment_id), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Run(Base):
    __tablename__ = "run"
    run_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey(Experiment.experiment_id))
    name: Mapped[str] = mapped_column(String(250))
    user_id: Mapped[str] = mapped_column(String(250))
    status: Mapped[str] = mapped_column(String(16), default=RunStatus.RUNNING)
    start_ms: Mapped[int] = mapped_column(BigInteger)
    end_ms: Mapped[int | None] = mapped_column(BigInteger)
    lifecycle_stage: Mapped[str] = mapped_column(String(16), default=Lifecycle.ACTIVE)
    deleted_ms: Mapped[int | None] = mapped_column(BigInteger)
    deleted_with_experiment: Mapped[bool] = mapped_column(Boolean, default=False)
    """Whether restoring the experiment restores the run."""
    revision: Mapped[int] = mapped_column(BigInteger, default=1)
    last_heartbeat_ms: Mapped[int | None] = mapped_column(BigInteger)
    """Last sign of life; None if the run's process sends no heartbeats.

    In no index: writing it with each metric must stay as cheap as the update of `revision`.
    """
    __table_args__ = (
        Index("run_by_start", "experiment_id", "start_ms"),
        Index("run_by_status", "experiment_id", "status", "start_ms"),
        _index_where("deleted_ms IS NOT NULL", "run_by_deletion", "lifecycle_stage", "deleted_ms"),
    )

    @property
    def etag(self) -> str:
        return f'"{self.revision}"'


class Param(Base):
    __tablename__ = "param"
    run_id: Mapped[str] = mapped_column(ForeignKey(Run.run_id), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class RunTag(Base):
    __tablename__ = "run_tag"
    run_id: Mapped[str] = mapped_column(ForeignKey(Run.run_id), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class MetricChunk(Base):
    """Points of one curve of one run, as packed arrays (see `rules.points`)."""

    __tablename__ = "metric_chunk"
    chunk_id: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    run_id: Mapped[str] = mapped_column(ForeignKey(Run.run_id))
    key: Mapped[str] = mapped_column(String(250))
    model_id: Mapped[str] = mapped_column(String(34))
    dataset_name: Mapped[str] = mapped_column(String(500))
    dataset_digest: Mapped[str] = mapped_column(String(36))
    point_count: Mapped[int] = mapped_column(Integer)
    min_step: Mapped[int] = mapped_column(BigInteger)
    max_step: Mapped[int] = mapped_column(BigInteger)
    min_timestamp_ms: Mapped[int] = mapped_column(BigInteger)
    max_timestamp_ms: Mapped[int] = mapped_column(BigInteger)
    steps: Mapped[bytes] = mapped_column(LargeBinary)
    timestamps: Mapped[bytes] = mapped_column(LargeBinary)
    values: Mapped[bytes] = mapped_column(LargeBinary)
    __table_args__ = (
        Index(
            "metric_chunk_by_curve", "run_id", "key", "model_id", "dataset_name", "dataset_digest"
        ),
        _index_where("model_id <> ''", "metric_chunk_by_model", "model_id"),
    )


class LatestMetric(Base):
    """The latest point of each metric of a run, by (step, timestamp, value)."""

    __tablename__ = "latest_metric"
    run_id: Mapped[str] = mapped_column(ForeignKey(Run.run_id), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp_ms: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[float] = mapped_column(Double)
    """0 if `is_nan`: SQLite stores NaN as NULL."""
    is_nan: Mapped[bool] = mapped_column(Boolean)
    model_id: Mapped[str] = mapped_column(String(34))
    dataset_name: Mapped[str] = mapped_column(String(500))
    dataset_digest: Mapped[str] = mapped_column(String(36))


class LoggedModel(Base):
    __tablename__ = "logged_model"
    number: Mapped[int] = mapped_column(_Number, primary_key=True, autoincrement=True)
    """Order of creation, also within one millisecond."""
    model_id: Mapped[str] = mapped_column(String(34), unique=True)
    experiment_id: Mapped[int] = mapped_column(ForeignKey(Experiment.experiment_id))
    name: Mapped[str] = mapped_column(String(500))
    model_type: Mapped[str] = mapped_column(String(500))
    source_run_id: Mapped[str | None] = mapped_column(ForeignKey(Run.run_id))
    status: Mapped[str] = mapped_column(String(16), default=ModelStatus.PENDING)
    lifecycle_stage: Mapped[str] = mapped_column(String(16), default=Lifecycle.ACTIVE)
    deleted_ms: Mapped[int | None] = mapped_column(BigInteger)
    created_ms: Mapped[int] = mapped_column(BigInteger)
    updated_ms: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (
        _index_where(
            "deleted_ms IS NOT NULL",
            "logged_model_by_deletion",
            "lifecycle_stage",
            "deleted_ms",
        ),
        Index("logged_model_by_run", "source_run_id"),
        Index("logged_model_by_creation", "experiment_id", "created_ms"),
    )


class LatestModelMetric(Base):
    """The latest point of each metric of a logged model on each dataset."""

    __tablename__ = "latest_model_metric"
    model_id: Mapped[str] = mapped_column(ForeignKey(LoggedModel.model_id), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    dataset_name: Mapped[str] = mapped_column(String(500), primary_key=True)
    dataset_digest: Mapped[str] = mapped_column(String(36), primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey(Run.run_id))
    step: Mapped[int] = mapped_column(BigInteger)
    timestamp_ms: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[float] = mapped_column(Double)
    is_nan: Mapped[bool] = mapped_column(Boolean)


class LoggedModelParam(Base):
    __tablename__ = "logged_model_param"
    model_id: Mapped[str] = mapped_column(ForeignKey(LoggedModel.model_id), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class LoggedModelTag(Base):
    __tablename__ = "logged_model_tag"
    model_id: Mapped[str] = mapped_column(ForeignKey(LoggedModel.model_id), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class Dataset(Base):
    """A dataset of an experiment; runs of the experiment share it."""

    __tablename__ = "dataset"
    experiment_id: Mapped[int] = mapped_column(
        ForeignKey(Experiment.experiment_id), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(500), primary_key=True)
    digest: Mapped[str] = mapped_column(String(36), primary_key=True)
    source_type: Mapped[str] = mapped_column(String(36))
    source: Mapped[str] = mapped_column(Text)
    schema: Mapped[str] = mapped_column(Text)
    profile: Mapped[str] = mapped_column(Text)


class DatasetInput(Base):
    __tablename__ = "dataset_input"
    run_id: Mapped[str] = mapped_column(ForeignKey(Run.run_id), primary_key=True)
    name: Mapped[str] = mapped_column(String(500), primary_key=True)
    digest: Mapped[str] = mapped_column(String(36), primary_key=True)
    experiment_id: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (
        ForeignKeyConstraint(
            ["experiment_id", "name", "digest"],
            [Dataset.experiment_id, Dataset.name, Dataset.digest],
        ),
    )


class DatasetInputTag(Base):
    __tablename__ = "dataset_input_tag"
    run_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(500), primary_key=True)
    digest: Mapped[str] = mapped_column(String(36), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "name", "digest"],
            [DatasetInput.run_id, DatasetInput.name, DatasetInput.digest],
        ),
    )


class ModelInput(Base):
    __tablename__ = "model_input"
    run_id: Mapped[str] = mapped_column(ForeignKey(Run.run_id), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey(LoggedModel.model_id), primary_key=True)


class ModelOutput(Base):
    __tablename__ = "model_output"
    run_id: Mapped[str] = mapped_column(ForeignKey(Run.run_id), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey(LoggedModel.model_id), primary_key=True)
    step: Mapped[int] = mapped_column(BigInteger)


class Imported(Base):
    """Maps the id of an imported resource at its origin to its id here, for repeated imports."""

    __tablename__ = "imported"
    origin: Mapped[str] = mapped_column(String(256), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    """`experiment`, `run` or `model`."""
    origin_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    id_here: Mapped[str] = mapped_column(String(64))


class Purged(Base):
    """The id of a purged resource, which no import may use again."""

    __tablename__ = "purged"
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    """As in `Imported`."""
    purged_id: Mapped[str] = mapped_column(String(34), primary_key=True)
    purged_ms: Mapped[int] = mapped_column(BigInteger)


class ArtifactFile(Base):
    """A file of a run's or logged model's tree."""

    __tablename__ = "artifact_file"
    owner_kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    """`run` or `model`."""
    owner_id: Mapped[str] = mapped_column(String(34), primary_key=True)
    path: Mapped[str] = mapped_column(String(1024), primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    """Digest of the whole file, which is one object unless it has parts."""


class ArtifactPart(Base):
    """One object of a file over 64 MiB."""

    __tablename__ = "artifact_part"
    owner_kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(34), primary_key=True)
    path: Mapped[str] = mapped_column(String(1024), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    __table_args__ = (
        ForeignKeyConstraint(
            ["owner_kind", "owner_id", "path"],
            [ArtifactFile.owner_kind, ArtifactFile.owner_id, ArtifactFile.path],
        ),
    )


class MissingArtifact(Base):
    """A file that an import has not brought to a run's or logged model's tree."""

    __tablename__ = "missing_artifact"
    owner_kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(34), primary_key=True)
    path: Mapped[str] = mapped_column(String(1024), primary_key=True)
    """Empty if the files of the whole tree are not known."""
    reason: Mapped[str] = mapped_column(String(1000))


class StoredObject(Base):
    """A known object: declared for upload, in the store, or a sealed manifest."""

    __tablename__ = "stored_object"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(16))
    """`declared`, `stored`, or `sweeping` while a sweep removes it."""
    is_manifest: Mapped[bool] = mapped_column(Boolean, default=False)
    leased_until_ms: Mapped[int] = mapped_column(BigInteger)
    """End of the lease: the object is not swept before it. While sweeping, the end of the claim.

    Unix time in milliseconds.
    """

    damaged: Mapped[DamagedObject | None] = relationship(
        viewonly=True, primaryjoin="StoredObject.digest == foreign(DamagedObject.digest)"
    )


class DamagedObject(Base):
    """An object whose bytes were found wrong or missing, until they are there again.

    It describes the store, so backups leave it out.
    """

    __tablename__ = "damaged_object"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    missing: Mapped[bool] = mapped_column(Boolean)
    found_ms: Mapped[int] = mapped_column(BigInteger)
    """Unix time in milliseconds."""
