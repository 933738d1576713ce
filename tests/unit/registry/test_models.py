from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.support.databases.dialects import Dialect, empty_url

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.serving.v1 import endpoint_pb2
from modelyard_kit.db.base import Conflict
from modelyard_kit.db.migrations import migrate
from modelyard_kit.db.open import open_database
from modelyard_registry.app import MIGRATIONS
from modelyard_registry.models import READY, Base
from modelyard_registry.rules.history import Action, EndpointAction


def test_the_migrations_create_the_tables_of_the_models(tmp_path: Path, dialect: Dialect) -> None:
    database = open_database(empty_url(dialect, tmp_path))
    migrate(database, MIGRATIONS)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": MIGRATIONS.version_table, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    database.close()


def test_the_database_itself_refuses_a_second_holder(tmp_path: Path, dialect: Dialect) -> None:
    database = open_database(empty_url(dialect, tmp_path))
    migrate(database, MIGRATIONS)
    insert = text(
        "INSERT INTO model_version (name, version, stage, source, user_id, status, created_ms, "
        "updated_ms, revision) VALUES ('iris', :version, :stage, '', '', 'READY', 1, 1, 1)"
    )
    with database.write() as session:
        session.execute(text("INSERT INTO model_name VALUES ('iris', 0, 1, '', NULL)"))
        session.execute(
            text("INSERT INTO registered_model VALUES ('iris', NULL, '', NULL, false, 1, 1)")
        )
        session.execute(insert, {"version": 1, "stage": "Production"})
        session.execute(insert, {"version": 2, "stage": "Archived"})
        session.execute(insert, {"version": 3, "stage": "Archived"})
    with pytest.raises((IntegrityError, Conflict)), database.write() as session:
        session.execute(insert, {"version": 4, "stage": "Production"})
    database.close()


def test_actions_and_statuses_are_those_of_the_contract() -> None:
    in_contract = set(pb.ModelEvent.Action.keys()) - {"ACTION_UNSPECIFIED"}
    assert {str(action) for action in Action} == in_contract
    in_contract = set(endpoint_pb2.EndpointEvent.Action.keys()) - {"ACTION_UNSPECIFIED"}
    assert {str(action) for action in EndpointAction} == in_contract
    assert READY in dict(pb.ModelVersionStatus.items())
