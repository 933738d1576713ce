"""Remember which manifests have damaged bytes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "damaged_manifest",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("damage", sa.String(2000), nullable=False),
    )
