"""The addresses of a server, and its health checks."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from modelyard.api.registry.v1 import registry_service_pb2
from modelyard_kit import descriptors
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.rpc import server as rpc_server
from modelyard_kit.rpc.server import RpcServer, check_address

SERVICE = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
TOKEN = "a-token-of-some-length"


class Readiness:
    """The readiness of the service behind the server, set by a test."""

    is_ready = False

    def __call__(self) -> str:
        return "" if self.is_ready else "The database cannot be reached."


@pytest.fixture
def readiness() -> Readiness:
    return Readiness()


@pytest.fixture
def target(readiness: Readiness) -> Iterator[str]:
    server = RpcServer()
    server.add(SERVICE, object(), problem=readiness)
    (port,) = server.start("127.0.0.1:0")
    yield f"127.0.0.1:{port}"
    server.drain(5)


@pytest.fixture
def health(target: str) -> Iterator[health_pb2_grpc.HealthStub]:
    with grpc.insecure_channel(target) as channel:
        yield health_pb2_grpc.HealthStub(channel)


def test_health_distinguishes_liveness_and_readiness(
    health: health_pb2_grpc.HealthStub, readiness: Readiness
) -> None:
    kinds = health_pb2.HealthCheckResponse

    def status(service: str) -> int:
        checked: int = health.Check(health_pb2.HealthCheckRequest(service=service)).status
        return checked

    assert status("") == kinds.SERVING
    assert status(SERVICE.full_name) == kinds.NOT_SERVING
    readiness.is_ready = True
    assert status(SERVICE.full_name) == kinds.SERVING


def test_the_health_of_an_unknown_service_is_not_found(health: health_pb2_grpc.HealthStub) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(health_pb2.HealthCheckRequest(service="nowhere"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_health_can_be_checked_but_not_watched(health: health_pb2_grpc.HealthStub) -> None:
    with pytest.raises(grpc.RpcError, match="call Check instead") as caught:
        list(health.Watch(health_pb2.HealthCheckRequest()))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "10.1.2.3:0", "example.org:0"])
def test_a_public_address_without_a_token_refuses_to_start(address: str) -> None:
    with pytest.raises(InvalidArgument, match="without authentication"):
        RpcServer().start(address)
    check_address(address, TOKEN)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0", "unix:/x/y"])
def test_loopback_and_sockets_need_no_token(address: str) -> None:
    check_address(address, None)


def test_a_second_server_on_the_port_is_refused(target: str) -> None:
    with pytest.raises(InvalidArgument, match="it is in use"):
        RpcServer().start(target)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server with three connections and short limits of time."""
    limits = {"grpc.max_connection_idle_ms": 1_000, "grpc.server_handshake_timeout_ms": 300}
    given = rpc_server._OPTIONS  # noqa: SLF001 - only two of them are changed
    options = tuple((name, limits.get(name, value)) for name, value in given)
    monkeypatch.setattr(rpc_server, "_OPTIONS", options)
    monkeypatch.setattr(descriptors, "for_rpc", lambda: 3)
    server = RpcServer()
    (port,) = server.start("127.0.0.1:0")
    yield port
    server.drain(0)


def test_connections_are_bounded_and_closed_when_they_are_mute_or_idle(small: int) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])

    def received(sent: bytes) -> list[bytes]:
        with ExitStack() as stack:
            opened = [
                stack.enter_context(socket.create_connection(("127.0.0.1", small), timeout=30))
                for _ in range(5)
            ]
            for connection in opened[:3]:
                connection.sendall(sent)
            files = [stack.enter_context(connection.makefile("rb")) for connection in opened]
            return [file.read() for file in files]

    mute, idle = received(b""), received(preface)

    assert [bool(data) for data in mute] == [True, True, True, False, False]
    assert [data.endswith(b"connection idle") for data in idle] == [True, True, True, False, False]
