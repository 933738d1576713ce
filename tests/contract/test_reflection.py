"""The reflection of gRPC, asked by its own client, where it is on and where it is not."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from tests.support.platforms.notebook import SERVICE, TOKEN
from tests.support.processes.service_processes import service

from modelyard_gateway.backends import SERVICES
from modelyard_kit.rpc import reflection
from modelyard_kit.rpc.server import RpcServer
from modelyard_kit.settings.declarations import load
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded

SERVING = "modelyard.api.serving.v1.ServingService"
HEALTH = "grpc.health.v1.Health"
REFLECTION = "grpc.reflection.v1alpha.ServerReflection"


class Held:
    """Requests of a client that asks once and keeps its stream open."""

    def __init__(self) -> None:
        self.end = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        yield ServerReflectionRequest(list_services="")
        assert self.end.wait(30)


def ask(channel: grpc.Channel, *requests: Any, token: str = "") -> list[Any]:
    metadata = [("authorization", f"Bearer {token}")] if token else []
    stub = ServerReflectionStub(channel)
    return list(stub.ServerReflectionInfo(iter(requests), timeout=30, metadata=metadata))


def services(channel: grpc.Channel, token: str = "") -> set[str]:
    (reply,) = ask(channel, ServerReflectionRequest(list_services=""), token=token)
    return {found.name for found in reply.list_services_response.service}


@pytest.fixture
def channel() -> Iterator[grpc.Channel]:
    """To a server that asks for a token."""
    server = RpcServer(TOKEN)
    server.add(SERVICE, object())
    reflection.mount(server)
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    server.drain(5)


def test_it_answers_the_services_and_their_files_in_one_stream(channel: grpc.Channel) -> None:
    listed, files, unknown = ask(
        channel,
        ServerReflectionRequest(list_services=""),
        ServerReflectionRequest(file_containing_symbol=SERVICE.full_name),
        ServerReflectionRequest(file_containing_symbol="no.such.Service"),
        token=TOKEN,
    )
    assert {found.name for found in listed.list_services_response.service} == {
        SERVICE.full_name,
        HEALTH,
        REFLECTION,
    }
    protos = [
        FileDescriptorProto.FromString(data)
        for data in files.file_descriptor_response.file_descriptor_proto
    ]
    found = {f"{proto.package}.{made.name}" for proto in protos for made in proto.service}
    assert SERVICE.full_name in found
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("token", ["", "another-token-than-that"])
def test_without_the_token_nothing_is_told(channel: grpc.Channel, token: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        services(channel, token)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_streams_beyond_four_are_refused_and_those_that_stay_open_end_with_the_server() -> None:
    server = RpcServer()
    reflection.mount(server)
    (port,) = server.start("127.0.0.1:0")
    address = f"127.0.0.1:{port}"
    with grpc.insecure_channel(address) as channel, another(address) as other:
        requests = [Held() for _ in range(4)]
        stubs = [ServerReflectionStub(channel)] * 3 + [ServerReflectionStub(other)]
        streams = []
        for stub, held in zip(stubs, requests, strict=True):
            streams.append(stub.ServerReflectionInfo(iter(held)))
            next(streams[-1])
            if len(streams) >= 3:  # the fourth is kept for another caller
                assert refusal_of_a_further_stream(channel) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refusal_of_a_further_stream(other) is grpc.StatusCode.RESOURCE_EXHAUSTED
        server.drain(0.1)
        for stream, held in zip(streams, requests, strict=True):
            with pytest.raises(grpc.RpcError):
                next(stream)
            held.end.set()


def another(address: str) -> grpc.Channel:
    """Return a channel with a connection of its own; channels to one address share theirs."""
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


def refusal_of_a_further_stream(channel: grpc.Channel) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        services(channel)
    return caught.value.code()


@pytest.mark.parametrize("given", ["on", ""])
def test_a_service_answers_where_it_is_switched_on(given: str) -> None:
    with (
        service("serving", "--listen", "127.0.0.1:0", MODELYARD_REFLECTION=given) as running,
        grpc.insecure_channel(running.address) as channel,
    ):
        if given:
            assert services(channel) == {SERVING, HEALTH, REFLECTION}
            return
        with pytest.raises(grpc.RpcError) as caught:
            services(channel)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_all_in_one_answers_for_all_of_its_services(tmp_path: Path) -> None:
    settings = load(UpSettings, {"MODELYARD_HOME": str(tmp_path), "MODELYARD_REFLECTION": "on"})
    platform = Embedded(dataclasses.replace(settings, port=0, grpc_port=0))
    with grpc.insecure_channel(platform.grpc) as channel:
        found = services(channel)
    platform.stop()
    mounted = {service.full_name for area in SERVICES.values() for service in area}
    assert found == mounted | {HEALTH, REFLECTION}
