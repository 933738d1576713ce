"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NAME = sa.String(256)
_NEVER = "events are never changed or deleted"
_ONE_HOLDER = sa.text("stage IN ('Staging', 'Production')")


def upgrade() -> None:
    _create_names()
    _create_versions()
    _create_history()
    _create_replies()


def _create_names() -> None:
    op.create_table(
        "model_name",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("next_version", sa.BigInteger, nullable=False),
        sa.Column("head_hash", sa.String(64), nullable=False),
        sa.Column("renamed_from", _NAME),
    )
    op.create_table(
        "registered_model",
        sa.Column("name", _NAME, sa.ForeignKey("model_name.name"), primary_key=True),
        sa.Column("description", sa.String(5000)),
        sa.Column("user_id", sa.String(256), nullable=False),
        sa.Column("deployment_job_id", sa.String(250)),
        sa.Column("deletion_protection", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "registered_model_tag",
        sa.Column("name", _NAME, _model(), primary_key=True),
        sa.Column("key", sa.String(250), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def _create_versions() -> None:
    op.create_table(
        "model_version",
        sa.Column("name", _NAME, _model(), primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("stage", sa.String(20), nullable=False),
        sa.Column("source", sa.String(2048), nullable=False),
        sa.Column("run_id", sa.String(256), index=True),
        sa.Column("experiment_id", sa.String(64)),
        sa.Column("run_link", sa.String(500)),
        sa.Column("model_id", sa.String(34)),
        sa.Column("description", sa.String(5000)),
        sa.Column("user_id", sa.String(256), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("digest", sa.String(64), index=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "one_holder_per_stage",
        "model_version",
        ["name", "stage"],
        unique=True,
        sqlite_where=_ONE_HOLDER,
        postgresql_where=_ONE_HOLDER,
    )
    op.create_table(
        "model_version_tag",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("key", sa.String(250), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        _version(),
    )
    op.create_table(
        "model_alias",
        sa.Column("name", _NAME, primary_key=True),
        sa.Column("alias", sa.String(255), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        _version(),
    )
    op.create_index("aliases_of_version", "model_alias", ["name", "version"])


def _create_history() -> None:
    op.create_table(
        "event",
        sa.Column("name", _NAME, sa.ForeignKey("model_name.name"), primary_key=True),
        sa.Column("revision", sa.BigInteger, primary_key=True),
        sa.Column("clock", sa.BigInteger, nullable=False, unique=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.String(256), nullable=False),
        sa.Column("action", sa.String(30), nullable=False),
        sa.Column("version", sa.BigInteger),
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
    clock = op.create_table(
        "clock",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("ticks", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(clock, [{"id": 1, "ticks": 0}])


def _refuse_changes_on_sqlite() -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER event_refuses_{verb.lower()} BEFORE {verb} ON event "
            f"BEGIN SELECT RAISE(ABORT, '{_NEVER}'); END"
        )


def _refuse_changes_on_postgres() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change_of_event() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_NEVER}'; END $$"
    )
    for verb in ("UPDATE", "DELETE", "TRUNCATE"):
        op.execute(
            f"CREATE TRIGGER event_refuses_{verb.lower()} BEFORE {verb} ON event "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_event()"
        )


def _create_replies() -> None:
    op.create_table(
        "idempotent_reply",
        sa.Column("principal", sa.String(255), primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("method", sa.String(255), nullable=False),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("reply", sa.LargeBinary, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False, index=True),
    )


def _model() -> sa.ForeignKey:
    return sa.ForeignKey("registered_model.name", onupdate="CASCADE")


def _version() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["name", "version"], ["model_version.name", "model_version.version"], onupdate="CASCADE"
    )
