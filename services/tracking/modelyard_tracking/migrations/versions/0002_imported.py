# ruff: noqa: INP001 - Alembic loads revisions by path
"""Remember what was imported, and from where."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "imported",
        sa.Column("origin", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("origin_id", sa.String(length=256), nullable=False),
        sa.Column("id_here", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("origin", "kind", "origin_id"),
    )
