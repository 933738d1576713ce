from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from tests.support.databases.dialects import Dialect
from tests.support.platforms.endpoint_service import Endpoints, running_endpoints
from tests.support.platforms.registry_service import refused

from modelyard.api.serving.v1 import endpoint_pb2 as pb
from modelyard_kit.errors import DataLoss


@pytest.fixture
def endpoints(tmp_path: Path, dialect: Dialect) -> Iterator[Endpoints]:
    with running_endpoints(tmp_path, dialect) as running:
        running.create(comment="why")
        running.update({"limits": {"timeout_ms": 5}}, [], comment="slow")
        running.delete()
        yield running


def verify(endpoints: Endpoints) -> pb.VerifyEndpointHistoryResponse:
    request = pb.VerifyEndpointHistoryRequest(endpoint_id="fraud")
    reply: pb.VerifyEndpointHistoryResponse = endpoints.call("VerifyEndpointHistory", request)
    return reply


def test_an_event_has_actor_action_and_comment(endpoints: Endpoints) -> None:
    created, updated, deleted = endpoints.events()
    assert {event.actor for event in (created, updated, deleted)} == {"ada"}
    assert [event.comment for event in (created, updated, deleted)] == ["why", "slow", ""]
    assert created.before == '{"created_ms":null,"spec":null,"updated_ms":null}'
    assert json.loads(updated.after) == {"spec": {"limits": {"timeout_ms": 5}}}
    assert json.loads(updated.before) == {"spec": {"limits": None}}
    assert deleted.after == created.before
    assert updated.create_time.ToMilliseconds() == endpoints.registry.time.ms


def test_the_documented_formula_gives_the_hash(endpoints: Endpoints) -> None:
    previous_hash = "0" * 64
    for event in endpoints.events():
        fields = {
            "name": event.endpoint_id,
            "revision": event.revision,
            "clock": event.clock,
            "at_ms": event.create_time.ToMilliseconds(),
            "actor": event.actor,
            "action": pb.EndpointEvent.Action.Name(event.action),
            "version": "",
            "before": event.before,
            "after": event.after,
            "comment": event.comment,
            "request_id": event.request_id,
            "previous_hash": previous_hash,
        }
        document = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        assert hashlib.sha256(document.encode()).hexdigest() == event.hash
        previous_hash = event.hash
    reply = verify(endpoints)
    assert (reply.revision, reply.hash) == (3, previous_hash)


def let_change_events(connection: Connection, verb: str) -> None:
    where = " ON endpoint_event" if connection.dialect.name == "postgresql" else ""
    connection.execute(text(f"DROP TRIGGER endpoint_event_refuses_{verb}{where}"))


@pytest.mark.parametrize("column", ["actor", "after", "comment", "at_ms", "clock"])
def test_a_changed_event_does_not_verify(endpoints: Endpoints, column: str) -> None:
    with endpoints.registry.database.engine.begin() as connection:
        let_change_events(connection, "update")
        query = f"UPDATE endpoint_event SET {column} = 99 WHERE revision = 2"  # noqa: S608 - our own constant
        connection.execute(text(query))
    with refused(endpoints.registry, DataLoss, "fraud does not verify from revision 2 on"):
        verify(endpoints)


@pytest.mark.parametrize("revision", [1, 2, 3])
def test_a_missing_event_does_not_verify(endpoints: Endpoints, revision: int) -> None:
    with endpoints.registry.database.engine.begin() as connection:
        let_change_events(connection, "delete")
        query = f"DELETE FROM endpoint_event WHERE revision = {revision}"  # noqa: S608 - our own constant
        connection.execute(text(query))
    with refused(endpoints.registry, DataLoss, f"from revision {revision} on"):
        verify(endpoints)


CHANGES = ["UPDATE endpoint_event SET comment = ''", "DELETE FROM endpoint_event"]


def test_the_database_refuses_to_change_or_delete_events(
    endpoints: Endpoints, dialect: Dialect
) -> None:
    truncate = ["TRUNCATE endpoint_event"] if dialect == "postgresql" else []
    for statement in (*CHANGES, *truncate):
        with (
            pytest.raises(DBAPIError, match="never changed or deleted"),
            endpoints.registry.database.engine.begin() as connection,
        ):
            connection.execute(text(statement))
