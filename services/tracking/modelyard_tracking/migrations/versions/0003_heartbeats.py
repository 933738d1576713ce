# ruff: noqa: INP001 - Alembic loads revisions by path
"""Remember the last sign of life of each run, and find runs by status."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("run", sa.Column("last_heartbeat_ms", sa.BigInteger(), nullable=True))
    op.create_index("run_by_status", "run", ["experiment_id", "status", "start_ms"])
