# ruff: noqa: INP001 - Alembic loads revisions by path
"""Remember which objects are damaged or missing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "damaged_object",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("missing", sa.Boolean, nullable=False),
        sa.Column("found_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
