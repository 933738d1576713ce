"""Record whether a version is a model, and why it is not verified."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_version", sa.Column("has_model", sa.Boolean))
    op.add_column("model_version", sa.Column("unverified_reason", sa.String(5000)))
