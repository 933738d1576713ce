"""Peers that open calls and stall, on every RPC of every service."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from tests.support.http.http2_peer import Http2Peer
from tests.support.platforms.notebook import TOKEN

from modelyard_gateway.backends import SERVICES
from modelyard_kit.rpc import health, reflection
from modelyard_kit.rpc.open_call import OpenCall
from modelyard_kit.rpc.server import RpcServer

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
MOUNTED = [service for area in SERVICES.values() for service in area]
EVERY = [*MOUNTED, HEALTH, REFLECTION]
PREFIX = b"\0\0\0\1\0"  # of a message of 256 bytes
PARTS = (b"", PREFIX, PREFIX[:2])
WITH_TOKEN = [("authorization", f"Bearer {TOKEN}".encode())]
SENDERS: tuple[list[tuple[str, bytes]], ...] = ([], WITH_TOKEN)
ANSWERS = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
}
OPENED = 48  # of a service with 40 places


def methods_of(service: ServiceDescriptor) -> list[MethodDescriptor]:
    if service is HEALTH:
        return list(health.behaviors(RpcServer().readiness))
    return list(service.methods)


def path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


@contextmanager
def serving() -> Iterator[str]:
    """Run all services, without implementations: what is tested happens before those."""
    server = RpcServer(TOKEN)
    for service in MOUNTED:
        server.add(service, object(), threads=8, streams=4)
    reflection.mount(server)
    (port,) = server.start("127.0.0.1:0")
    yield f"127.0.0.1:{port}"
    server.drain(0.1)


@pytest.fixture(scope="module")
def patient() -> Iterator[str]:
    """Address of a server that ends no call within a test, so that stalled ones stay open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenCall, "request_s", 3600.0)
        with serving() as address:
            yield address


def answered(address: str, service: ServiceDescriptor) -> set[grpc.StatusCode]:
    """Call a unary and a streaming RPC of a service, on a connection of its own."""
    methods = {method.server_streaming: method for method in methods_of(service)}
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options=options) as channel:
        calls = [opened(channel, method) for method in methods.values()]
        for call in calls:
            with suppress(grpc.RpcError):
                list(call)
        return {call.code() for call in calls}


def opened(channel: grpc.Channel, method: MethodDescriptor) -> Any:
    rpc: Any = channel.stream_stream(path(method))
    metadata = [("authorization", f"Bearer {TOKEN}")]
    return rpc(iter([b""]), timeout=20, metadata=metadata)


@pytest.mark.parametrize("service", EVERY, ids=lambda service: service.name)
def test_calls_whose_requests_do_not_come_take_no_place_and_no_thread(
    patient: str, service: ServiceDescriptor
) -> None:
    methods = methods_of(service)
    for sender, part in itertools.product(SENDERS, PARTS):
        with Http2Peer(patient) as peer:
            for number in range(max(OPENED, len(methods))):
                stream = peer.open(path(methods[number % len(methods)]), sender)
                if part:
                    peer.send(stream, part)
            assert answered(patient, service) <= ANSWERS, (sender, part)


def test_a_call_whose_request_does_not_come_whole_in_time_is_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(OpenCall, "request_s", 0.3)
    with (
        serving() as address,
        Http2Peer(address) as peer,
        Http2Peer(address) as mute,
        caplog.at_level(logging.INFO),
    ):
        streams: list[int] = []
        for service in EVERY:
            for method in methods_of(service):
                streams.append(peer.open(path(method), WITH_TOKEN))
                mute.open(path(method))
        peer.drip(streams, PREFIX, b"x")
        assert peer.wait_until_ended(len(streams)) >= set(streams)
        assert mute.wait_until_ended(len(streams)) == set(streams)
    lines = [record.message for record in caplog.records]
    assert lines.count("denied") == 1
    assert lines.count("ended a call whose peer stalled") == 1
    assert "rpc" not in lines
