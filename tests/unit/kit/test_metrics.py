"""Each metric of the kit, changed by the events that it measures."""

from __future__ import annotations

from importlib.metadata import version

import grpc
import pytest
from sqlalchemy import text
from tests.support.platforms.notebook import SERVICE, Notebook, Stub, create
from tests.support.processes.measured import measured

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.db.base import Conflict, Database
from modelyard_kit.rpc.calls import Call, writes
from modelyard_kit.rpc.server import RpcServer

SLOW = pb.GetRegisteredModelRequest(name="slow")
WATCH = pb.WatchModelsRequest(name="x")


class Colliding(Notebook):
    """Conflicts with another transaction at the first attempt."""

    collisions = [Conflict("40001")]

    @writes
    def CreateRegisteredModel(
        self, request: pb.CreateRegisteredModelRequest, call: Call
    ) -> pb.CreateRegisteredModelResponse:
        if self.collisions:
            raise self.collisions.pop()
        return pb.CreateRegisteredModelResponse()


def test_the_version_is_reported() -> None:
    assert measured("modelyard_build_info", version=version("modelyard")) == 1


def test_calls_in_flight_are_counted_until_they_end(stub: Stub, notebook: Notebook) -> None:
    create(stub, "slow")
    before = measured("modelyard_rpc_inflight", service="RegistryService")
    call = stub.GetRegisteredModel.future(SLOW, timeout=30)
    assert notebook.entered.acquire(timeout=30)
    assert measured("modelyard_rpc_inflight", service="RegistryService") == before + 1
    notebook.proceed.set()
    assert call.result()
    # The caller receives its reply shortly before the server's call ends.
    while measured("modelyard_rpc_inflight", service="RegistryService") != before:
        assert stub.GetRegisteredModel(SLOW, timeout=30)


def test_connections_in_use_are_counted(database: Database) -> None:
    before = measured("modelyard_db_pool_in_use")
    with database.read() as session:
        session.execute(text("SELECT 1"))
        assert measured("modelyard_db_pool_in_use") == before + 1
    assert measured("modelyard_db_pool_in_use") == before


def test_open_streams_are_counted_and_those_refused_too(stub: Stub, notebook: Notebook) -> None:
    open_before = measured("modelyard_watch_streams")
    shed_before = measured("modelyard_rpc_shed_total", reason="streams")
    watches = [stub.WatchModels(WATCH) for _ in range(2)]
    for watch in watches:
        assert next(watch).position == 1
    with pytest.raises(grpc.RpcError):
        next(stub.WatchModels(WATCH))
    assert measured("modelyard_watch_streams") == open_before + 2
    assert measured("modelyard_rpc_shed_total", reason="streams") == shed_before + 1
    notebook.proceed.set()
    for watch in watches:
        assert list(watch) == []
    assert measured("modelyard_watch_streams") == open_before


def test_calls_refused_because_of_overload_are_counted(stub: Stub, notebook: Notebook) -> None:
    create(stub, "slow")
    before = measured("modelyard_rpc_shed_total", reason="calls")
    calls = [stub.GetRegisteredModel.future(SLOW, timeout=60) for _ in range(23)]
    refused = 0
    while refused < 3:
        refused = sum(call.done() and call.exception() is not None for call in calls)
    assert measured("modelyard_rpc_shed_total", reason="calls") == before + 3
    notebook.proceed.set()
    assert sum(call.exception() is None for call in calls) == 20


def test_a_reply_that_is_given_again_is_counted(stub: Stub) -> None:
    before = measured("modelyard_idempotent_replays_total")
    create(stub, "a", "key")
    assert measured("modelyard_idempotent_replays_total") == before
    create(stub, "a", "key")
    assert measured("modelyard_idempotent_replays_total") == before + 1


def test_a_transaction_that_is_run_again_is_counted(database: Database) -> None:
    server = RpcServer()
    server.add(SERVICE, Colliding(database))
    (port,) = server.start("127.0.0.1:0")
    before = measured("modelyard_db_tx_retries_total", sqlstate="40001")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        create(Stub(channel), "a")
    server.drain(5)
    assert measured("modelyard_db_tx_retries_total", sqlstate="40001") == before + 1
