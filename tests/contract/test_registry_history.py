from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.registry_service import Registry, refused, running_registry

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.db import paging
from modelyard_kit.errors import DataLoss, InvalidArgument, NotFound, OutOfRange, Unavailable
from modelyard_kit.rpc import grpc_errors


@pytest.fixture
def registry(tmp_path: Path, dialect: Dialect) -> Iterator[Registry]:
    with running_registry(tmp_path, dialect) as running:
        running.create_model()
        running.create_version()
        running.move(1, "Production", comment="go")
        yield running


def watch(registry: Registry, **fields: Any) -> Any:
    return registry.stub.WatchModels(pb.WatchModelsRequest(**fields), timeout=30)


def refusal(stream: Any) -> Exception:
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    return grpc_errors.from_rpc(caught.value, "registry")


def test_each_change_is_one_event_in_order(registry: Registry) -> None:
    actions = ["MODEL_CREATED", "VERSION_CREATED", "STAGE_CHANGED"]
    events = registry.events()
    assert [pb.ModelEvent.Action.Name(event.action) for event in events] == actions
    assert [event.revision for event in events] == [1, 2, 3]
    assert [event.clock for event in events] == [1, 2, 3]
    assert [event.version for event in events] == ["", "1", "1"]
    assert {event.actor for event in events} == {"ada"}
    assert events[-1].create_time.ToMilliseconds() == registry.time.ms


def test_the_documented_formula_gives_the_hash(registry: Registry) -> None:
    previous_hash = "0" * 64
    for event in registry.events():
        fields = {
            "name": event.name,
            "revision": event.revision,
            "clock": event.clock,
            "at_ms": event.create_time.ToMilliseconds(),
            "actor": event.actor,
            "action": pb.ModelEvent.Action.Name(event.action),
            "version": event.version,
            "before": event.before,
            "after": event.after,
            "comment": event.comment,
            "request_id": event.request_id,
            "previous_hash": previous_hash,
        }
        document = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        assert hashlib.sha256(document.encode()).hexdigest() == event.hash
        previous_hash = event.hash
    reply = registry.call("VerifyHistory", pb.VerifyHistoryRequest(name="iris"))
    assert (reply.revision, reply.hash) == (3, previous_hash)


def let_change_events(connection: Connection, verb: str) -> None:
    where = " ON event" if connection.dialect.name == "postgresql" else ""
    connection.execute(text(f"DROP TRIGGER event_refuses_{verb}{where}"))


@pytest.mark.parametrize("column", ["actor", "after", "comment", "at_ms", "version", "clock"])
def test_a_changed_event_does_not_verify(registry: Registry, column: str) -> None:
    with registry.database.engine.begin() as connection:
        let_change_events(connection, "update")
        connection.execute(text(f"UPDATE event SET {column} = 99 WHERE revision = 2"))  # noqa: S608
    with refused(registry, DataLoss, "iris does not verify from revision 2 on"):
        registry.call("VerifyHistory", pb.VerifyHistoryRequest(name="iris"))


@pytest.mark.parametrize("revision", [1, 2, 3])
def test_a_missing_event_does_not_verify(registry: Registry, revision: int) -> None:
    with registry.database.engine.begin() as connection:
        let_change_events(connection, "delete")
        connection.execute(text(f"DELETE FROM event WHERE revision = {revision}"))  # noqa: S608
    with refused(registry, DataLoss, f"from revision {revision} on"):
        registry.call("VerifyHistory", pb.VerifyHistoryRequest(name="iris"))


CHANGES = ["UPDATE event SET comment = ''", "DELETE FROM event"]


def test_the_database_refuses_to_change_or_delete_events(
    registry: Registry, dialect: Dialect
) -> None:
    statements = [*CHANGES, "TRUNCATE event"] if dialect == "postgresql" else CHANGES
    for statement in statements:
        with (
            pytest.raises(DBAPIError, match="never changed or deleted"),
            registry.database.engine.begin() as connection,
        ):
            connection.execute(text(statement))


def test_events_are_paged(registry: Registry) -> None:
    request = pb.ListModelEventsRequest(name="iris", page_size=2, after_revision=0)
    first = registry.call("ListModelEvents", request)
    request.page_token = first.next_page_token
    second = registry.call("ListModelEvents", request)
    assert [event.revision for event in (*first.events, *second.events)] == [1, 2, 3]
    assert not second.next_page_token
    later = pb.ListModelEventsRequest(name="iris", after_revision=2)
    assert [event.revision for event in registry.call("ListModelEvents", later).events] == [3]


def test_the_history_of_a_name_never_used_is_not_found(registry: Registry) -> None:
    for rpc, request in (
        ("ListModelEvents", pb.ListModelEventsRequest(name="roses")),
        ("VerifyHistory", pb.VerifyHistoryRequest(name="roses")),
    ):
        with refused(registry, NotFound, "No Registered Model was ever named roses"):
            registry.call(rpc, request)


def test_a_bad_page_of_events_is_refused(registry: Registry) -> None:
    for fields in (
        {"page_size": 0},
        {"page_size": 1001},
        {"after_revision": -1},
        {"page_token": "x"},
    ):
        with refused(registry, InvalidArgument, "Invalid"):
            request = pb.ListModelEventsRequest(name="iris", **fields)
            registry.call("ListModelEvents", request)


@BEFORE_SQL
@pytest.mark.parametrize("cursor", [(), ("x",), (1, 2), (None,), (1.5,)])
def test_a_page_token_made_by_hand_is_refused(registry: Registry, cursor: paging.Cursor) -> None:
    token = paging.encode(cursor, paging.fingerprint("events", "iris", 0))
    with refused(registry, InvalidArgument, "Invalid page_token"):
        request = pb.ListModelEventsRequest(name="iris", page_token=token)
        registry.call("ListModelEvents", request)


def test_a_watch_begins_with_its_position_and_gives_every_event_once(registry: Registry) -> None:
    stream = watch(registry, name="iris")
    first = next(stream)
    assert not first.HasField("event")
    assert first.position == 3
    assert [reply.event.revision for reply in islice(stream, 3)] == [1, 2, 3]
    registry.move(1, "Archived")
    registry.create_model("roses")
    registry.move(1, "Staging")
    assert [reply.event.revision for reply in islice(stream, 2)] == [4, 5]
    stream.cancel()


def test_a_watch_resumes_after_a_revision(registry: Registry) -> None:
    stream = watch(registry, name="iris", after_revision=2)
    next(stream)
    reply = next(stream)
    assert (reply.event, reply.position) == (registry.events()[2], 3)
    stream.cancel()


def test_a_watch_of_all_models_follows_the_clock(registry: Registry) -> None:
    stream = watch(registry, after_clock=2)
    assert next(stream).position == 3
    registry.create_model("roses")
    assert [(r.event.name, r.position) for r in islice(stream, 2)] == [("iris", 3), ("roses", 4)]
    stream.cancel()


def test_a_watch_waits_for_a_model_that_is_not_there_yet(registry: Registry) -> None:
    stream = watch(registry, name="roses")
    assert next(stream).position == 0
    registry.create_model("roses")
    assert next(stream).event.name == "roses"
    stream.cancel()


def test_a_watch_from_beyond_the_history_is_out_of_range(registry: Registry) -> None:
    for fields in ({"name": "iris", "after_revision": 4}, {"after_clock": 4}):
        error = refusal(watch(registry, **fields))
        assert isinstance(error, OutOfRange)
        assert "4: the newest is 3" in str(error)
    assert isinstance(refusal(watch(registry, name="iris", after_revision=-1)), InvalidArgument)


def test_a_watch_ends_with_a_reason_when_the_server_stops(registry: Registry) -> None:
    stream = watch(registry, name="iris", after_revision=3)
    next(stream)
    registry.server.drain(grace_s=5)
    stopped = refusal(stream)
    assert isinstance(stopped, Unavailable)
    assert "stopping" in stopped.message
