"""Keep endpoints, and their history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ENDPOINT = sa.String(63)
_NEVER = "events are never changed or deleted"


def upgrade() -> None:
    op.create_table(
        "endpoint_name",
        sa.Column("name", _ENDPOINT, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("head_hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "endpoint_model",
        sa.Column("name", _ENDPOINT, _name(), primary_key=True),
        sa.Column("model", sa.String(256), primary_key=True),
    )
    op.create_table(
        "endpoint",
        sa.Column("name", _ENDPOINT, _name(), primary_key=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "endpoint_event",
        sa.Column("name", _ENDPOINT, _name(), primary_key=True),
        sa.Column("revision", sa.BigInteger, primary_key=True),
        sa.Column("clock", sa.BigInteger, nullable=False, unique=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("action", sa.String(30), nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("comment", sa.String(5000), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        _refuse_changes_on_postgres()
    else:
        _refuse_changes_on_sqlite()


def _refuse_changes_on_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER endpoint_event_refuses_{verb.lower()} BEFORE {verb} ON endpoint_event "
            f"BEGIN SELECT RAISE(ABORT, '{_NEVER}'); END"
        )


def _refuse_changes_on_postgres() -> None:
    for verb in ("UPDATE", "DELETE", "TRUNCATE"):
        op.execute(
            f"CREATE TRIGGER endpoint_event_refuses_{verb.lower()} BEFORE {verb} ON endpoint_event "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_event()"
        )


def _name() -> sa.ForeignKey:
    return sa.ForeignKey("endpoint_name.name")
