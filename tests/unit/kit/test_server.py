"""What surrounds every RPC, seen from a client of a small service on a real socket."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2, registry_service_pb2_grpc
from modelyard_kit import errors, grpc_errors, idempotency
from modelyard_kit.calls import Call, caller, reads, writes
from modelyard_kit.clock import now_ms
from modelyard_kit.db import Database, open_database
from modelyard_kit.server import Server

SERVICE = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
TOKEN = "a-token-of-some-length"


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


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path}/notes.db")
    with database.write() as session:
        idempotency.replies.metadata.create_all(session.connection())
        session.execute(text("CREATE TABLE note (name TEXT)"))
    yield database
    database.close()


@pytest.fixture
def notebook(database: Database) -> Notebook:
    return Notebook(database)


@pytest.fixture
def server(notebook: Notebook) -> Iterator[Server]:
    server = Server()
    server.add(SERVICE, notebook, threads=4, streams=2)
    yield server
    notebook.proceed.set()
    server.drain(5)


@pytest.fixture
def stub(server: Server) -> Iterator[registry_service_pb2_grpc.RegistryServiceStub]:
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield registry_service_pb2_grpc.RegistryServiceStub(channel)


Stub = registry_service_pb2_grpc.RegistryServiceStub


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


def test_an_error_arrives_with_code_reason_message_and_metadata(stub: Stub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetRegisteredModel(pb.GetRegisteredModelRequest(name="x"))
    assert failure(caught.value) == (
        grpc.StatusCode.NOT_FOUND,
        "RESOURCE_DOES_NOT_EXIST",
        "No note 'x'.",
    )
    info = grpc_errors.error_info(caught.value)
    assert info is not None
    assert info.metadata["name"] == "x"
    assert len(info.metadata["request_id"]) == 32


def test_an_error_is_the_same_error_on_the_other_side(stub: Stub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetRegisteredModel(pb.GetRegisteredModelRequest(name="x"))
    error = grpc_errors.from_rpc(caught.value, "registry")
    assert isinstance(error, errors.NotFound)
    assert (error.message, error.metadata) == ("No note 'x'.", {"name": "x"})


def test_an_unreachable_neighbour_is_unavailable_and_named() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetRegisteredModel(pb.GetRegisteredModelRequest(name="x"), timeout=10)
    error = grpc_errors.from_rpc(caught.value, "registry")
    assert isinstance(error, errors.Unavailable)
    assert error.message.startswith("registry cannot be reached; nothing was written")


def test_a_bug_is_logged_and_says_nothing_to_the_caller(
    stub: Stub, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(grpc.RpcError) as caught:
        create(stub, "bug", description="the secret of the caller")
    code, reason, message = failure(caught.value)
    assert (code, reason) == (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR")
    assert message.startswith("internal error (request id ")
    assert "secret" not in message
    assert "ZeroDivisionError" in caplog.text
    assert notes(database) == 0


def test_each_call_is_one_line_of_the_log_without_its_secrets(
    notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(token=TOKEN)
    server.add(SERVICE, notebook)
    (port,) = server.start("127.0.0.1:0")
    with caplog.at_level(logging.INFO), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = Stub(channel)
        for name in ("a", "refused"):
            request = pb.CreateRegisteredModelRequest(name=name, description="payload")
            with suppress(grpc.RpcError):
                stub.CreateRegisteredModel(
                    request,
                    metadata=[
                        ("authorization", f"Bearer {TOKEN}"),
                        ("idempotency-key", f"k3y-{name}"),
                        ("x-request-id", name),
                    ],
                )
        with suppress(grpc.RpcError):
            stub.GetRegisteredModel(
                pb.GetRegisteredModelRequest(name="payload"),
                metadata=[("authorization", "Bearer a-guess-at-the-token")],
            )
        server.drain(5)
    lines = [vars(record) for record in caplog.records if record.message == "rpc"]
    assert [(line["method"].rpartition(".")[2], line["code"]) for line in lines] == [
        ("CreateRegisteredModel", "OK"),
        ("CreateRegisteredModel", "FAILED_PRECONDITION"),
        ("GetRegisteredModel", "UNAUTHENTICATED"),
    ]
    assert [line["request"] for line in lines[:2]] == ["a", "refused"]
    assert all(line["ms"] >= 0 for line in lines)
    logged = str([vars(record) for record in caplog.records])
    assert not any(word in logged for word in (TOKEN, "k3y", "payload", "guess"))


def test_a_refused_write_leaves_nothing(stub: Stub, database: Database) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        create(stub, "refused", key="k")
    assert failure(caught.value)[0] is grpc.StatusCode.FAILED_PRECONDITION
    assert notes(database) == 0


def test_a_write_sent_again_with_its_key_has_one_effect_and_one_answer(
    stub: Stub, database: Database
) -> None:
    first = create(stub, "a", key="k1")
    create(stub, "b", key="k2")
    assert create(stub, "a", key="k1") == first
    assert notes(database) == 2


def test_eight_at_once_with_one_key_have_one_effect(stub: Stub, database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: create(stub, "a", key="k"), range(8)))
    assert notes(database) == 1
    assert all(reply == replies[0] for reply in replies)


def test_a_key_with_another_request_is_refused(stub: Stub, database: Database) -> None:
    create(stub, "a", key="k1")
    with pytest.raises(grpc.RpcError) as caught:
        create(stub, "b", key="k1")
    code, _, message = failure(caught.value)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "'k1' was used before with another request" in message
    assert notes(database) == 1


def test_a_key_that_is_too_long_is_refused(stub: Stub, database: Database) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        create(stub, "a", key="k" * 129)
    assert "129 characters" in failure(caught.value)[2]
    assert notes(database) == 0


def test_without_a_key_a_write_runs_once_per_arrival(stub: Stub, database: Database) -> None:
    create(stub, "a")
    create(stub, "a")
    assert notes(database) == 2


def test_fields_are_checked_before_the_method_runs(stub: Stub, database: Database) -> None:
    for request, message in [
        (
            pb.CreateRegisteredModelRequest(name=""),
            "Missing value for required parameter 'name'.",
        ),
        (
            pb.CreateRegisteredModelRequest(name="n" * 257),
            "Invalid value for parameter 'name': it has 257 characters, at most 256 are allowed.",
        ),
        (
            pb.CreateRegisteredModelRequest(name="a\0b"),
            "Invalid value for parameter 'name': it contains a NUL character.",
        ),
        (
            pb.CreateRegisteredModelRequest(
                name="n", tags=[pb.RegisteredModelTag(key="k"), pb.RegisteredModelTag(value="v")]
            ),
            "Missing value for required parameter 'tags[1].key'.",
        ),
    ]:
        with pytest.raises(grpc.RpcError) as caught:
            stub.CreateRegisteredModel(request)
        assert failure(caught.value)[1:] == ("INVALID_PARAMETER_VALUE", message)
    assert notes(database) == 0


def test_bytes_that_are_no_request_are_refused_as_such(server: Server) -> None:
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary(f"/{SERVICE.full_name}/GetRegisteredModel")
        for data in (b"\xff", b"\x0a\x02\xc3\x28"):  # half a field; a name that is not UTF-8
            with pytest.raises(grpc.RpcError) as caught:
                call(data, timeout=30)
            code, _, message = failure(caught.value)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert message.endswith("GetRegisteredModelRequest: it cannot be parsed.")


def test_an_rpc_that_is_not_built_answers_unimplemented_and_is_listed(
    stub: Stub, server: Server
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.DeleteRegisteredModel(pb.DeleteRegisteredModelRequest(name="x"))
    assert failure(caught.value)[:2] == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert f"{SERVICE.full_name}.DeleteRegisteredModel" in server.unbuilt
    assert f"{SERVICE.full_name}.GetRegisteredModel" not in server.unbuilt


def test_the_actor_is_who_the_caller_says_and_anonymous_otherwise(stub: Stub) -> None:
    request = pb.CreateRegisteredModelRequest(name="a")
    ann = stub.CreateRegisteredModel(request, metadata=[("x-modelyard-user", "ann")])
    nobody = stub.CreateRegisteredModel(request)
    assert ann.registered_model.user_id == "ann"
    assert nobody.registered_model.user_id == "anonymous"


def test_streams_beyond_the_cap_are_refused_and_unary_calls_go_on(
    stub: Stub, notebook: Notebook
) -> None:
    create(stub, "a")
    open_streams = [stub.WatchModels(pb.WatchModelsRequest(name=name)) for name in ("x", "y")]
    for stream in open_streams:
        assert next(stream).position == 1
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.WatchModels(pb.WatchModelsRequest(name="z")))
    assert failure(caught.value)[:2] == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "RESOURCE_EXHAUSTED",
    )
    assert stub.GetRegisteredModel(pb.GetRegisteredModelRequest(name="a"))
    notebook.proceed.set()


def test_a_stream_that_fails_midway_carries_its_reason(stub: Stub) -> None:
    stream = stub.WatchModels(pb.WatchModelsRequest(name="broken"))
    assert next(stream).position == 1
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    assert failure(caught.value)[1] == "OUT_OF_RANGE"


def test_a_stream_its_client_left_is_logged_as_cancelled(
    stub: Stub, notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="modelyard_kit.interceptors"):
        stream = stub.WatchModels(pb.WatchModelsRequest(name="x"))
        assert next(stream).position == 1
        assert notebook.entered.acquire(timeout=30)
        stream.cancel()
        assert notebook.left.wait(30)
        notebook.proceed.set()
        while not (ended := [r for r in caplog.records if r.message == "rpc"]):
            threading.Event().wait(0.01)  # until the server's thread has noticed
    assert ended[0].__dict__["code"] == "CANCELLED"


def test_draining_lets_a_call_in_flight_end(stub: Stub, server: Server, notebook: Notebook) -> None:
    create(stub, "slow")
    call = stub.GetRegisteredModel.future(pb.GetRegisteredModelRequest(name="slow"), timeout=30)
    assert notebook.entered.acquire(timeout=30)
    drained = threading.Thread(target=server.drain, args=(30,))
    drained.start()
    assert server.stopping.wait(30)
    notebook.proceed.set()
    assert call.result().registered_model.name == "slow"
    drained.join()


def test_a_stream_that_nobody_reads_does_not_hold_up_the_end(
    stub: Stub, server: Server, notebook: Notebook
) -> None:
    stream = stub.WatchModels(pb.WatchModelsRequest(name="endless"))
    assert next(stream).position == 1
    assert notebook.entered.acquire(timeout=30)
    server.drain(grace_s=3600)
    with pytest.raises(grpc.RpcError):
        list(stream)


def test_a_call_whose_deadline_passed_in_the_queue_for_the_writer_writes_nothing(
    stub: Stub, database: Database
) -> None:
    with database.write(), pytest.raises(grpc.RpcError) as caught:
        stub.CreateRegisteredModel(pb.CreateRegisteredModelRequest(name="late"), timeout=0.2)
    assert caught.value.code() in {
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
    }
    assert notes(database) == 0


def test_a_token_is_asked_of_every_call(notebook: Notebook) -> None:
    server = Server(token=TOKEN)
    server.add(SERVICE, notebook)
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
        request = pb.CreateRegisteredModelRequest(name="a")
        for wrong in ("Bearer wrong", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN}x"):
            header = wrong.encode() if wrong.isascii() else wrong.encode("latin-1")
            with pytest.raises(grpc.RpcError) as caught:
                stub.CreateRegisteredModel(request, metadata=[("authorization", header)])
            assert failure(caught.value)[1] == "UNAUTHENTICATED"
            assert TOKEN not in failure(caught.value)[2]
        reply = stub.CreateRegisteredModel(request, metadata=[("authorization", f"Bearer {TOKEN}")])
        assert reply.registered_model.user_id == "token"
    server.drain(5)
