from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.calls import Call
from modelyard_kit.db import open_database
from modelyard_kit.migrations import migrate
from modelyard_registry.app import TREE
from modelyard_registry.models import READY, Base, Imported
from modelyard_registry.operations import history, registered_models
from modelyard_registry.rules.history import Action


def test_the_models_are_what_the_migrations_make(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/registry.db")
    migrate(database, TREE)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": TREE.version_table, "compare_type": True}
        )
        assert compare_metadata(context, Base.metadata) == []
    database.close()


def test_an_upgrade_from_the_first_tables_keeps_what_they_hold(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/registry.db")
    migrate(database, replace(TREE, head="0001"))
    with database.write() as session:
        call = Call(session, "ada", "request", 1)
        kept: dict[str, Any] = {
            "description": None,
            "deployment_job_id": None,
            "tags": [("team", "x")],
        }
        registered_models.create_model(call, "iris", **kept)
    migrate(database, TREE)
    with database.write() as session:
        assert [tag.value for tag in registered_models.get_model(session, "iris").tags] == ["x"]
        assert history.verify(session, "iris").revision == 1
        assert session.scalars(select(Imported)).all() == []
    database.close()


def test_the_database_itself_refuses_a_second_holder(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/registry.db")
    migrate(database, TREE)
    insert = text(
        "INSERT INTO model_version (name, version, stage, source, user_id, status, created_ms, "
        "updated_ms, revision) VALUES ('iris', :version, :stage, '', '', 'READY', 1, 1, 1)"
    )
    with database.write() as session:
        session.execute(text("INSERT INTO model_name VALUES ('iris', 0, 1, '', NULL)"))
        session.execute(
            text("INSERT INTO registered_model VALUES ('iris', NULL, '', NULL, 0, 1, 1)")
        )
        session.execute(insert, {"version": 1, "stage": "Production"})
        session.execute(insert, {"version": 2, "stage": "Archived"})
        session.execute(insert, {"version": 3, "stage": "Archived"})
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(insert, {"version": 4, "stage": "Production"})
    database.close()


def test_actions_and_statuses_are_those_of_the_contract() -> None:
    in_contract = set(pb.ModelEvent.Action.keys()) - {"ACTION_UNSPECIFIED"}
    assert {str(action) for action in Action} == in_contract
    assert READY in dict(pb.ModelVersionStatus.items())
