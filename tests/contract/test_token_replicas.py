"""Named tokens over several servers: two registries on one database, and tracking beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from databases import Dialect, migrated_url

import modelyard_registry.app
import modelyard_tracking.app
from modelyard.api.access.v1 import access_pb2 as pb
from modelyard.api.access.v1 import access_service_pb2
from modelyard.api.access.v1.access_service_pb2_grpc import AccessServiceStub
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard.api.tracking.v1.tracking_service_pb2_grpc import TrackingServiceStub
from modelyard_kit.access import Tokens, from_registry
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.artifacts.memory import MemoryStore
from modelyard_kit.channel import dial
from modelyard_kit.db import Database, open_database
from modelyard_kit.server import Server

SERVICES_TOKEN = "the-token-of-the-services"
ACCESS = access_service_pb2.DESCRIPTOR.services_by_name["AccessService"]
TOKEN = "modelyard_0123456789_" + "s" * 43
SIGNER = UrlSigner(b"s" * 32, lambda: "http://store.test")


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@dataclass
class Replica:
    """One server, and whether it takes a token."""

    server: Server
    stub: Any
    request: Any
    rpc: str

    def refusal(self, token: str) -> grpc.StatusCode | None:
        try:
            getattr(self.stub, self.rpc)(self.request, timeout=30, metadata=metadata(token))
        except grpc.RpcError as error:
            ended: Any = error
            code: grpc.StatusCode = ended.code()
            return code
        return None


@contextmanager
def running_registry(database: Database, stack: ExitStack) -> Iterator[tuple[Replica, str]]:
    server = Server(SERVICES_TOKEN, tokens=modelyard_registry.app.named_tokens(database))
    tracking = stack.enter_context(dial("127.0.0.1:1"))
    modelyard_registry.app.mount(server, database, MemoryStore(SIGNER), tracking)
    (port,) = server.start("127.0.0.1:0")
    target = f"127.0.0.1:{port}"
    try:
        with grpc.insecure_channel(target) as channel:
            replica = Replica(
                server, AccessServiceStub(channel), pb.GetCallerRequest(), "GetCaller"
            )
            yield replica, target
    finally:
        server.drain(5)


@contextmanager
def running_tracking(url: str, registry: str) -> Iterator[Replica]:
    database = open_database(url)
    with dial(registry, ACCESS) as channel:
        server = Server(SERVICES_TOKEN, tokens=Tokens(from_registry(channel, SERVICES_TOKEN)))
        modelyard_tracking.app.mount(server, database, MemoryStore(SIGNER), SIGNER)
        (port,) = server.start("127.0.0.1:0")
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as client:
                request = tracking_pb2.GetExperimentRequest(experiment_id="0")
                yield Replica(server, TrackingServiceStub(client), request, "GetExperiment")
        finally:
            server.drain(5)
            database.close()


@dataclass
class Deployment:
    first: Replica
    second: Replica
    tracking: Replica
    tracking_url: str

    def make_token(self) -> None:
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        request = pb.CreateTokenRequest(
            id=TOKEN.split("_")[1], sha256=digest, name="ci", role=pb.VIEWER
        )
        self.first.stub.CreateToken(request, timeout=30, metadata=metadata(SERVICES_TOKEN))


@pytest.fixture
def deployment(tmp_path: Path, dialect: Dialect) -> Iterator[Deployment]:
    url = migrated_url(dialect, tmp_path, modelyard_registry.app.TREE)
    tracking_url = migrated_url(dialect, tmp_path, modelyard_tracking.app.TREE)
    with ExitStack() as stack:
        one = open_database(url)
        stack.callback(one.close)
        # A SQLite file is opened by one process once: there both servers share what opened it.
        other = one if dialect == "sqlite" else open_database(url)
        stack.callback(other.close)
        first, target = stack.enter_context(running_registry(one, stack))
        second, _ = stack.enter_context(running_registry(other, stack))
        tracking = stack.enter_context(running_tracking(tracking_url, target))
        yield Deployment(first, second, tracking, tracking_url)


def test_a_token_made_at_one_server_is_good_at_all_at_once(deployment: Deployment) -> None:
    replicas = (deployment.first, deployment.second, deployment.tracking)
    for replica in replicas:
        assert replica.refusal(TOKEN) is grpc.StatusCode.UNAUTHENTICATED
    deployment.make_token()
    for replica in replicas:
        assert replica.refusal(TOKEN) is None


def test_a_token_revoked_at_one_server_ends_at_all(deployment: Deployment) -> None:
    deployment.make_token()
    for replica in (deployment.second, deployment.tracking):
        assert replica.refusal(TOKEN) is None
    request = pb.RevokeTokenRequest(id=TOKEN.split("_")[1])
    deployment.first.stub.RevokeToken(request, timeout=30, metadata=metadata(SERVICES_TOKEN))
    assert deployment.first.refusal(TOKEN) is grpc.StatusCode.UNAUTHENTICATED
    for replica in (deployment.second, deployment.tracking):
        while (code := replica.refusal(TOKEN)) is None:
            pass  # each of them asks every 2 s; pytest's timeout ends this if it does not
        assert code is grpc.StatusCode.UNAUTHENTICATED


def test_tokens_go_on_at_tracking_while_the_registry_is_down(deployment: Deployment) -> None:
    deployment.make_token()
    assert deployment.tracking.refusal(TOKEN) is None
    deployment.first.server.drain(0)
    for _ in range(20):
        assert deployment.tracking.refusal(TOKEN) is None
    unknown = TOKEN[:-1] + "x"
    assert deployment.tracking.refusal(unknown) is grpc.StatusCode.UNAUTHENTICATED


def test_a_server_that_never_reached_the_registry_takes_the_services_token_only(
    tmp_path: Path,
) -> None:
    url = migrated_url("sqlite", tmp_path, modelyard_tracking.app.TREE)
    with running_tracking(url, "127.0.0.1:1") as tracking:
        assert tracking.refusal(SERVICES_TOKEN) is None
        assert tracking.refusal(TOKEN) is grpc.StatusCode.UNAVAILABLE
        assert tracking.refusal("no-named-token-at-all") is grpc.StatusCode.UNAUTHENTICATED
