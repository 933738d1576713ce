# ruff: noqa: INP001 - Alembic loads revisions by path
"""Record when things were deleted, and the ids of those that were purged.

Nothing recorded when a run was deleted: the time of the migration stands for it.
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for table in ("experiment", "run", "logged_model"):
        op.add_column(table, sa.Column("deleted_ms", sa.BigInteger(), nullable=True))
    for table in ("run", "logged_model"):
        is_deleted = sa.text("deleted_ms IS NOT NULL")
        op.create_index(
            f"{table}_by_deletion",
            table,
            ["lifecycle_stage", "deleted_ms"],
            sqlite_where=is_deleted,
            postgresql_where=is_deleted,
        )
    has_model = sa.text("model_id <> ''")
    op.create_index(
        "metric_chunk_by_model",
        "metric_chunk",
        ["model_id"],
        sqlite_where=has_model,
        postgresql_where=has_model,
    )
    op.create_table(
        "purged",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("purged_id", sa.String(length=34), nullable=False),
        sa.Column("purged_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "purged_id"),
    )
    now_ms = time.time_ns() // 1_000_000
    for name in ("experiment", "run", "logged_model"):
        rows = sa.table(name, *map(sa.column, ("deleted_ms", "updated_ms", "lifecycle_stage")))
        deleted_ms = now_ms if name == "run" else rows.c.updated_ms
        deleted = sa.update(rows).where(rows.c.lifecycle_stage == "deleted")
        op.execute(deleted.values(deleted_ms=deleted_ms))
