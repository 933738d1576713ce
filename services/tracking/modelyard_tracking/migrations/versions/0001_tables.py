# ruff: noqa: INP001 - Alembic loads revisions by path
"""Create the tables of tracking, and the experiment "0", Default."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _create_idempotent_replies()
    _create_experiments()
    _create_runs()
    _create_logged_models()
    _create_metrics()
    _create_inputs_and_outputs()
    _create_artifacts()
    now_ms = time.time_ns() // 1_000_000
    experiment = sa.table(
        "experiment",
        *map(
            sa.column,
            ("experiment_id", "name", "lifecycle_stage", "created_ms", "updated_ms", "revision"),
        ),
    )
    op.execute(
        sa.insert(experiment).values(
            experiment_id=0,
            name="Default",
            lifecycle_stage="active",
            created_ms=now_ms,
            updated_ms=now_ms,
            revision=1,
        )
    )


def _number() -> sa.types.TypeEngine[int]:
    # SQLite counts only INTEGER keys by itself.
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _create_idempotent_replies() -> None:
    op.create_table(
        "idempotent_reply",
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("method", sa.String(length=255), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key"),
    )
    op.create_index("ix_idempotent_reply_created_ms", "idempotent_reply", ["created_ms"])


def _create_experiments() -> None:
    op.create_table(
        "experiment",
        sa.Column("experiment_id", _number(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("lifecycle_stage", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id"),
        sa.UniqueConstraint("name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "experiment_tag",
        sa.Column("experiment_id", _number(), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.experiment_id"]),
        sa.PrimaryKeyConstraint("experiment_id", "key"),
    )


def _create_runs() -> None:
    op.create_table(
        "run",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("experiment_id", _number(), nullable=False),
        sa.Column("name", sa.String(length=250), nullable=False),
        sa.Column("user_id", sa.String(length=250), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=True),
        sa.Column("lifecycle_stage", sa.String(length=16), nullable=False),
        sa.Column("deleted_with_experiment", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.experiment_id"]),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("run_by_start", "run", ["experiment_id", "start_ms"])
    op.create_table(
        "param",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "key"),
    )
    op.create_table(
        "run_tag",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "key"),
    )


def _create_logged_models() -> None:
    op.create_table(
        "logged_model",
        sa.Column("number", _number(), autoincrement=True, nullable=False),
        sa.Column("model_id", sa.String(length=34), nullable=False),
        sa.Column("experiment_id", _number(), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("model_type", sa.String(length=500), nullable=False),
        sa.Column("source_run_id", sa.String(length=32), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("lifecycle_stage", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.experiment_id"]),
        sa.ForeignKeyConstraint(["source_run_id"], ["run.run_id"]),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("model_id"),
    )
    op.create_index("logged_model_by_creation", "logged_model", ["experiment_id", "created_ms"])
    op.create_index("logged_model_by_run", "logged_model", ["source_run_id"])
    op.create_table(
        "logged_model_param",
        sa.Column("model_id", sa.String(length=34), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["logged_model.model_id"]),
        sa.PrimaryKeyConstraint("model_id", "key"),
    )
    op.create_table(
        "logged_model_tag",
        sa.Column("model_id", sa.String(length=34), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["logged_model.model_id"]),
        sa.PrimaryKeyConstraint("model_id", "key"),
    )


def _create_metrics() -> None:
    op.create_table(
        "metric_chunk",
        sa.Column("chunk_id", _number(), autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("model_id", sa.String(length=34), nullable=False),
        sa.Column("dataset_name", sa.String(length=500), nullable=False),
        sa.Column("dataset_digest", sa.String(length=36), nullable=False),
        sa.Column("point_count", sa.Integer(), nullable=False),
        sa.Column("min_step", sa.BigInteger(), nullable=False),
        sa.Column("max_step", sa.BigInteger(), nullable=False),
        sa.Column("min_timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("max_timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("steps", sa.LargeBinary(), nullable=False),
        sa.Column("timestamps", sa.LargeBinary(), nullable=False),
        sa.Column("values", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.PrimaryKeyConstraint("chunk_id"),
    )
    op.create_index(
        "metric_chunk_by_curve",
        "metric_chunk",
        ["run_id", "key", "model_id", "dataset_name", "dataset_digest"],
    )
    op.create_table(
        "latest_metric",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("is_nan", sa.Boolean(), nullable=False),
        sa.Column("model_id", sa.String(length=34), nullable=False),
        sa.Column("dataset_name", sa.String(length=500), nullable=False),
        sa.Column("dataset_digest", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "key"),
    )
    op.create_table(
        "latest_model_metric",
        sa.Column("model_id", sa.String(length=34), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("dataset_name", sa.String(length=500), nullable=False),
        sa.Column("dataset_digest", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("is_nan", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["logged_model.model_id"]),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.PrimaryKeyConstraint("model_id", "key", "dataset_name", "dataset_digest"),
    )


def _create_inputs_and_outputs() -> None:
    op.create_table(
        "dataset",
        sa.Column("experiment_id", _number(), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("digest", sa.String(length=36), nullable=False),
        sa.Column("source_type", sa.String(length=36), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiment.experiment_id"]),
        sa.PrimaryKeyConstraint("experiment_id", "name", "digest"),
    )
    op.create_table(
        "dataset_input",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("digest", sa.String(length=36), nullable=False),
        sa.Column("experiment_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["experiment_id", "name", "digest"],
            ["dataset.experiment_id", "dataset.name", "dataset.digest"],
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "name", "digest"),
    )
    op.create_table(
        "dataset_input_tag",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("digest", sa.String(length=36), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id", "name", "digest"],
            ["dataset_input.run_id", "dataset_input.name", "dataset_input.digest"],
        ),
        sa.PrimaryKeyConstraint("run_id", "name", "digest", "key"),
    )
    op.create_table(
        "model_input",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("model_id", sa.String(length=34), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["logged_model.model_id"]),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "model_id"),
    )
    op.create_table(
        "model_output",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("model_id", sa.String(length=34), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["logged_model.model_id"]),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"]),
        sa.PrimaryKeyConstraint("run_id", "model_id"),
    )


def _create_artifacts() -> None:
    op.create_table(
        "stored_object",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("is_manifest", sa.Boolean(), nullable=False),
        sa.Column("leased_until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "artifact_file",
        sa.Column("owner_kind", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.String(length=34), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("owner_kind", "owner_id", "path"),
    )
    op.create_index("ix_artifact_file_digest", "artifact_file", ["digest"])
    op.create_table(
        "artifact_part",
        sa.Column("owner_kind", sa.String(length=8), nullable=False),
        sa.Column("owner_id", sa.String(length=34), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_kind", "owner_id", "path"],
            ["artifact_file.owner_kind", "artifact_file.owner_id", "artifact_file.path"],
        ),
        sa.PrimaryKeyConstraint("owner_kind", "owner_id", "path", "position"),
    )
    op.create_index("ix_artifact_part_digest", "artifact_part", ["digest"])
