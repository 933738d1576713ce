"""The interceptors of every RPC, tested by a client of a small service on a real socket."""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import pytest
from tests.support.platforms.notebook import SERVICE, TOKEN, Notebook, Stub, create, failure, notes

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2_grpc
from modelyard_kit import errors
from modelyard_kit.db.base import Database
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.server import RpcServer


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


def test_an_unreachable_service_is_unavailable_and_named() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetRegisteredModel(pb.GetRegisteredModelRequest(name="x"), timeout=10)
    error = grpc_errors.from_rpc(caught.value, "registry")
    assert isinstance(error, errors.Unavailable)
    assert error.message == "registry cannot be reached. Try again."


def test_a_service_that_disconnected_may_have_done_the_request(
    server: RpcServer, notebook: Notebook
) -> None:
    (port,) = server.start("127.0.0.1:0")
    request = pb.GetRegisteredModelRequest(name="slow")
    with between(port) as (target, breaking), grpc.insecure_channel(target) as channel:
        stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
        answer = stub.GetRegisteredModel.future(request, timeout=30)
        assert notebook.entered.acquire(timeout=30)
        breaking.set()
        with pytest.raises(grpc.RpcError) as caught:
            answer.result()
    error = grpc_errors.from_rpc(caught.value, "registry")
    assert isinstance(error, errors.Unavailable)
    assert error.message.startswith("registry disconnected before it answered: the request may")


def test_a_bug_of_a_called_service_is_not_reported_as_a_lost_connection(stub: Stub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        create(stub, "bug")
    error = grpc_errors.from_rpc(caught.value, "registry")
    assert error.message.startswith("registry failed before it answered")
    assert isinstance(error, errors.Unavailable)


@contextmanager
def between(port: int) -> Iterator[tuple[str, threading.Event]]:
    """Forward bytes to and from a port, until the test breaks the connection."""
    breaking = threading.Event()

    def run() -> None:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        with near, far:
            others = {near: far, far: near}
            while not breaking.is_set():
                for ready in select.select([near, far], [], [], 0.02)[0]:
                    others[ready].sendall(ready.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", breaking
        breaking.set()
        thread.join()


def test_a_bug_is_logged_and_not_described_to_the_caller(
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


def test_each_call_with_a_token_is_one_line_of_the_log_without_its_secrets(
    notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    server = RpcServer(token=TOKEN)
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
    ]
    assert [line["request"] for line in lines] == ["a", "refused"]
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


def test_bytes_that_are_no_request_are_refused_as_such(server: RpcServer) -> None:
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
    stub: Stub, server: RpcServer
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.DeleteRegisteredModel(pb.DeleteRegisteredModelRequest(name="x"))
    assert failure(caught.value)[:2] == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED")
    assert f"{SERVICE.full_name}.DeleteRegisteredModel" in server.unbuilt
    assert f"{SERVICE.full_name}.GetRegisteredModel" not in server.unbuilt


def test_the_actor_is_the_self_declared_user_or_else_anonymous(stub: Stub) -> None:
    request = pb.CreateRegisteredModelRequest(name="a")
    ann = stub.CreateRegisteredModel(request, metadata=[("x-modelyard-user", "ann")])
    anonymous = stub.CreateRegisteredModel(request)
    assert ann.registered_model.user_id == "ann"
    assert anonymous.registered_model.user_id == "anonymous"


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
