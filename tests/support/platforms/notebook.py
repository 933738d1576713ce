"""A small service on the contract, for tests of the kit's interceptors and transactions."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
from sqlalchemy import Column, MetaData, Table, Text, bindparam, select, text

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2, registry_service_pb2_grpc
from modelyard_kit import errors
from modelyard_kit.clock import now_ms
from modelyard_kit.db.base import Database
from modelyard_kit.db.statements import Statement, inserting
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, FastCall, fast_reads, fast_writes, reads, writes

SERVICE = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
TOKEN = "a-token-of-some-length"
Stub = registry_service_pb2_grpc.RegistryServiceStub


_note = Table("note", MetaData(), Column("name", Text))
_ADD = Statement[tuple[()]](inserting(_note))
_ALL = Statement[tuple[str]](select(_note.c.name))
_FIND = Statement[tuple[str]](select(_note.c.name).where(_note.c.name == bindparam("of")))


class Notebook(registry_service_pb2_grpc.RegistryServiceServicer):
    """A table of names behind three RPCs of the contract, in transactions on the driver."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = now_ms
        self.entered = threading.Semaphore(0)
        self.proceed = threading.Event()
        self.left = threading.Event()

    @fast_reads
    def GetRegisteredModel(
        self, request: pb.GetRegisteredModelRequest, call: FastCall
    ) -> pb.GetRegisteredModelResponse:
        if request.name == "slow":
            self.entered.release()
            assert self.proceed.wait(30)
        found = call.rows.execute(_FIND, {"of": request.name})
        if not found:
            raise errors.NotFound(f"No note '{request.name}'.", name=request.name)
        model = pb.RegisteredModel(name=request.name, revision=len(found))
        return pb.GetRegisteredModelResponse(registered_model=model)

    @fast_writes
    def CreateRegisteredModel(
        self, request: pb.CreateRegisteredModelRequest, call: FastCall
    ) -> pb.CreateRegisteredModelResponse:
        call.rows.execute(_ADD, {"name": request.name})
        if request.name == "refused":
            raise errors.FailedPrecondition("Refused after the insert.")
        if request.name == "bug":
            raise ZeroDivisionError(request.description)
        count = len(call.rows.execute(_ALL))
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


class SessionNotebook(Notebook):
    """The same table, in transactions of the ORM."""

    @reads
    def GetRegisteredModel(
        self, request: pb.GetRegisteredModelRequest, call: Call
    ) -> pb.GetRegisteredModelResponse:
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
