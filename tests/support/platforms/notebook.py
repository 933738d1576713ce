"""A small service on the contract, for tests of the kit's interceptors and transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
from sqlalchemy import text

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2, registry_service_pb2_grpc
from modelyard_kit import errors
from modelyard_kit.clock import now_ms
from modelyard_kit.db.base import Database
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.calls import Call, caller, reads, writes

SERVICE = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
TOKEN = "a-token-of-some-length"
Stub = registry_service_pb2_grpc.RegistryServiceStub


class Notebook(registry_service_pb2_grpc.RegistryServiceServicer):
    """A table of names behind three RPCs of the contract."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = now_ms
        self.entered = threading.Semaphore(0)
        self.proceed = threading.Event()
        self.left = threading.Event()

    @reads
    def GetRegisteredModel(
        self, request: pb.GetRegisteredModelRequest, call: Call
    ) -> pb.GetRegisteredModelResponse:
        if request.name == "slow":
            self.entered.release()
            assert self.proceed.wait(30)
        found = call.session.execute(
            text("SELECT count(*) FROM note WHERE name = :name"), {"name": request.name}
        ).scalar_one()
        if not found:
            raise errors.NotFound(f"No note '{request.name}'.", name=request.name)
        return pb.GetRegisteredModelResponse(
            registered_model=pb.RegisteredModel(name=request.name, revision=found)
        )

    @writes
    def CreateRegisteredModel(
        self, request: pb.CreateRegisteredModelRequest, call: Call
    ) -> pb.CreateRegisteredModelResponse:
        call.session.execute(text("INSERT INTO note VALUES (:name)"), {"name": request.name})
        if request.name == "refused":
            raise errors.FailedPrecondition("Refused after the insert.")
        if request.name == "bug":
            raise ZeroDivisionError(request.description)
        count = call.session.execute(text("SELECT count(*) FROM note")).scalar_one()
        model = pb.RegisteredModel(name=request.name, revision=count, user_id=call.actor)
        return pb.CreateRegisteredModelResponse(registered_model=model)

    def WatchModels(
        self, request: pb.WatchModelsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchModelsResponse]:
        context.add_callback(self.left.set)
        yield pb.WatchModelsResponse(position=1)
        self.entered.release()
        while request.name == "endless":
            yield pb.WatchModelsResponse(event=pb.ModelEvent(after="x" * 100_000))
        if request.name == "broken":
            raise errors.OutOfRange("Revision 9 is not in the history.")
        caller.get()
        assert self.proceed.wait(30)


def create(
    stub: Stub, name: str, key: str = "", description: str = ""
) -> pb.CreateRegisteredModelResponse:
    request = pb.CreateRegisteredModelRequest(name=name, description=description)
    reply = stub.CreateRegisteredModel(request, timeout=30, metadata=[("idempotency-key", key)])
    assert isinstance(reply, pb.CreateRegisteredModelResponse)
    return reply


def notes(database: Database) -> int:
    with database.read() as session:
        count: int = session.execute(text("SELECT count(*) FROM note")).scalar_one()
        return count


def failure(call: grpc.RpcError) -> tuple[grpc.StatusCode, str, str]:
    info = grpc_errors.error_info(call)
    assert isinstance(call, grpc.Call)
    assert info is not None
    return call.code(), info.reason, str(call.details())
