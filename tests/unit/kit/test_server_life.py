"""Streams, overload, tokens and draining of a server on a real socket."""

from __future__ import annotations

import logging
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.platforms.notebook import SERVICE, TOKEN, Notebook, Stub, create, failure

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2_grpc
from modelyard_kit.rpc.server import RpcServer


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


def test_calls_beyond_the_capacity_are_refused_at_once_but_not_health_checks(
    server: RpcServer, notebook: Notebook
) -> None:
    slow = pb.GetRegisteredModelRequest(name="slow")
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
        create(stub, "slow")
        taken = [stub.GetRegisteredModel.future(slow, timeout=60) for _ in range(20)]
        for _ in range(4):
            assert notebook.entered.acquire(timeout=30)
        refused = [stub.GetRegisteredModel.future(slow, timeout=60) for _ in range(100)]
        for call in refused:
            code, reason, message = failure(call.exception())
            assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED")
            assert message.startswith("RegistryService is overloaded: 20 calls running or queued.")
            details = dict(call.trailing_metadata())["grpc-status-details-bin"]
            assert b"google.rpc.RetryInfo" in details
        request = health_pb2.HealthCheckRequest(service=SERVICE.full_name)
        health = health_pb2_grpc.HealthStub(channel).Check(request, timeout=60)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        notebook.proceed.set()
        assert {call.code() for call in taken} == {grpc.StatusCode.OK}
        assert stub.GetRegisteredModel(slow, timeout=60)


def test_a_stream_that_fails_midway_carries_its_reason(stub: Stub) -> None:
    stream = stub.WatchModels(pb.WatchModelsRequest(name="broken"))
    assert next(stream).position == 1
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    assert failure(caught.value)[1] == "OUT_OF_RANGE"


def test_a_stream_its_client_left_is_logged_as_cancelled(
    stub: Stub, notebook: Notebook, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="modelyard_kit.rpc.interceptors"):
        stream = stub.WatchModels(pb.WatchModelsRequest(name="x"))
        assert next(stream).position == 1
        assert notebook.entered.acquire(timeout=30)
        stream.cancel()
        assert notebook.left.wait(30)
        notebook.proceed.set()
        while not (ended := [r for r in caplog.records if r.message == "rpc"]):
            threading.Event().wait(0.01)  # until the server's thread has noticed
    assert ended[0].__dict__["code"] == "CANCELLED"


def test_draining_lets_a_call_in_flight_end(
    stub: Stub, server: RpcServer, notebook: Notebook
) -> None:
    create(stub, "slow")
    call = stub.GetRegisteredModel.future(pb.GetRegisteredModelRequest(name="slow"), timeout=30)
    assert notebook.entered.acquire(timeout=30)
    drained = threading.Thread(target=server.drain, args=(30,))
    drained.start()
    assert server.stopping.wait(30)
    notebook.proceed.set()
    assert call.result().registered_model.name == "slow"
    drained.join()


def test_a_stream_that_is_not_read_does_not_delay_the_shutdown(
    stub: Stub, server: RpcServer, notebook: Notebook
) -> None:
    stream = stub.WatchModels(pb.WatchModelsRequest(name="endless"))
    assert next(stream).position == 1
    assert notebook.entered.acquire(timeout=30)
    server.drain(grace_s=3600)
    with pytest.raises(grpc.RpcError):
        list(stream)


def test_every_call_needs_the_token(notebook: Notebook) -> None:
    server = RpcServer(token=TOKEN)
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
