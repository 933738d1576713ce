"""Calls of one transaction and of several, made by a client of a small service."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import grpc
import pytest
from sqlalchemy import insert, text
from tests.support.platforms.notebook import SERVICE, Notebook, Stub, create, failure, notes

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2_grpc
from modelyard_kit.clock import now_ms
from modelyard_kit.db.base import Database
from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.rpc import expiry, idempotency
from modelyard_kit.rpc.calls import Call, write_step, writes
from modelyard_kit.rpc.server import RpcServer

ENDLESS = text(
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
    "INSERT INTO note SELECT x FROM c"
)


class InSteps(Notebook):
    """Writes a name in one step, and the number of names in another."""

    def CreateRegisteredModel(
        self, request: pb.CreateRegisteredModelRequest, context: grpc.ServicerContext
    ) -> pb.CreateRegisteredModelResponse:
        if request.name == "endless":
            self._write_endlessly(context)
        found = self._note(context, request.name)
        if request.name == "twice":
            self._reply(request, context, found)
        return self._reply(request, context, found)

    @write_step
    def _write_endlessly(self, call: Call) -> None:
        self.entered.release()
        call.session.execute(ENDLESS)

    @write_step
    def _note(self, call: Call, name: str) -> int:
        call.session.execute(text("INSERT INTO note VALUES (:name)"), {"name": name})
        if name == "refused":
            raise FailedPrecondition("Refused after the insert.")
        found: int = call.session.execute(text("SELECT count(*) FROM note")).scalar_one()
        return found

    @writes
    def _reply(
        self, request: pb.CreateRegisteredModelRequest, call: Call, found: int
    ) -> pb.CreateRegisteredModelResponse:
        call.session.execute(text("INSERT INTO note VALUES ('reply')"))
        model = pb.RegisteredModel(name=request.name, revision=found)
        return pb.CreateRegisteredModelResponse(registered_model=model)


@pytest.fixture
def notebook(database: Database) -> InSteps:
    return InSteps(database)


@pytest.fixture
def stub(notebook: InSteps) -> Iterator[Stub]:
    server = RpcServer()
    server.add(SERVICE, notebook)
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield registry_service_pb2_grpc.RegistryServiceStub(channel)
    server.drain(5)


def test_a_step_returns_what_the_next_one_needs_and_keeps_no_reply(
    stub: Stub, database: Database
) -> None:
    first = create(stub, "a", key="k")
    assert first.registered_model.revision == 1
    assert notes(database) == 2
    # The step runs again; the reply is the first one, which its key has.
    assert create(stub, "a", key="k") == first
    assert notes(database) == 3


def test_a_step_that_is_refused_leaves_nothing_of_itself(stub: Stub, database: Database) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        create(stub, "refused", key="k")
    assert failure(caught.value)[2] == "Refused after the insert."
    assert notes(database) == 0


@pytest.mark.parametrize("gives_up_by", ["deadline", "cancel"])
def test_a_caller_that_gives_up_frees_the_database(
    notebook: InSteps, stub: Stub, database: Database, gives_up_by: str
) -> None:
    request = pb.CreateRegisteredModelRequest(name="endless")
    running = stub.CreateRegisteredModel.future(
        request, timeout=0.5 if gives_up_by == "deadline" else 60
    )
    assert notebook.entered.acquire(timeout=30)
    if gives_up_by == "cancel":
        running.cancel()
    assert create(stub, "a").registered_model.revision == 1
    assert running.code() in {
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
    assert notes(database) == 2


@pytest.mark.parametrize("key", ["", "k"])
def test_a_second_reply_in_one_call_is_a_bug(
    stub: Stub, database: Database, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(grpc.RpcError) as caught:
        create(stub, "twice", key=key)
    assert failure(caught.value)[1] == "INTERNAL_ERROR"
    assert "AssertionError: modelyard.api.registry.v1.RegistryService.CreateRegisteredModel" in (
        caplog.text
    )
    assert "enters @writes twice" in caplog.text
    assert notes(database) == 2  # of the step and of the first reply
    assert create(stub, "b").registered_model.revision == 3  # the next call is another one


def test_a_serving_service_deletes_the_replies_that_have_expired(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "INTERVAL_S", 0.01)
    committed, server = threading.Semaphore(0), RpcServer()
    kept = text("SELECT key FROM idempotent_reply")
    with database.write() as session:
        for key, created_ms in (("old", 0), ("new", now_ms())):
            row = {"principal": "p", "key": key, "method": "m", "request_sha256": "", "reply": b""}
            session.execute(insert(idempotency.replies), row | {"created_ms": created_ms})
    database.on_commit(committed.release)
    expiry.expire_replies(server, database, now_ms)
    server.start("127.0.0.1:0")
    assert committed.acquire(timeout=30)
    server.drain(5)
    with database.read() as session:
        assert session.scalars(kept).all() == ["new"]
