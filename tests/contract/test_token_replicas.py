"""API tokens over several servers: two registries on one database, and tracking beside them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.databases.dialects import Dialect, migrated_url
from tests.support.stores.memory import MemoryStore

import modelyard_registry.app
import modelyard_tracking.app
from modelyard.api.access.v1 import access_pb2 as pb
from modelyard.api.access.v1 import access_service_pb2
from modelyard.api.access.v1.access_service_pb2_grpc import AccessServiceStub
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard.api.tracking.v1.tracking_service_pb2_grpc import TrackingServiceStub
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.auth.tokens import Tokens
from modelyard_kit.db.base import Database
from modelyard_kit.db.open import open_database
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.server import RpcServer
from modelyard_kit.rpc.token_checks import from_registry

SERVICE_TOKEN = "the-token-of-the-services"
ACCESS = access_service_pb2.DESCRIPTOR.services_by_name["AccessService"]
TOKEN = "modelyard_0123456789_" + "s" * 43
SIGNER = UrlSigner(b"s" * 32, lambda: "http://store.test")


def metadata(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@dataclass
class Replica:
    """One server, and whether it takes a token."""

    server: RpcServer
    stub: Any
    request: Any
    rpc: str

    def refusal(self, token: str) -> grpc.StatusCode | None:
        rpc = getattr(self.stub, self.rpc)
        return refusal_of(lambda: rpc(self.request, timeout=30, metadata=metadata(token)))


def refusal_of(call: Callable[[], object]) -> grpc.StatusCode | None:
    """Return how a call was refused, or None if it was answered."""
    try:
        call()
    except grpc.RpcError as error:
        ended: Any = error
        code: grpc.StatusCode = ended.code()
        return code
    return None


def ask(replica: Replica, rpc: str, token: str = SERVICE_TOKEN, **fields: Any) -> Any:
    """Call an RPC of the same contract file as the one a replica is asked for."""
    package = sys.modules[type(replica.request).__module__]
    request = getattr(package, f"{rpc}Request")(**fields)
    return getattr(replica.stub, rpc)(request, timeout=30, metadata=metadata(token))


@contextmanager
def running_registry(
    database: Database, store: MemoryStore, stack: ExitStack
) -> Iterator[tuple[Replica, str]]:
    server = RpcServer(SERVICE_TOKEN, tokens=modelyard_registry.app.api_tokens(database))
    tracking = stack.enter_context(connect("127.0.0.1:1"))
    modelyard_registry.app.mount(server, database, store, tracking)
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
    with connect(registry, ACCESS) as channel:
        server = RpcServer(SERVICE_TOKEN, tokens=Tokens(from_registry(channel, SERVICE_TOKEN)))
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
    models: Replica
    """The registry's other service, at the first server."""

    def make_token(self, role: pb.Role = pb.VIEWER, **scope: Any) -> None:
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        request = pb.CreateTokenRequest(
            id=TOKEN.split("_")[1], sha256=digest, name="ci", role=role, **scope
        )
        self.first.stub.CreateToken(request, timeout=30, metadata=metadata(SERVICE_TOKEN))


@pytest.fixture
def deployment(tmp_path: Path, dialect: Dialect) -> Iterator[Deployment]:
    url = migrated_url(dialect, tmp_path, modelyard_registry.app.MIGRATIONS)
    tracking_url = migrated_url(dialect, tmp_path, modelyard_tracking.app.MIGRATIONS)
    store = MemoryStore(SIGNER)
    with ExitStack() as stack:
        one = open_database(url)
        stack.callback(one.close)
        # A SQLite file is opened by one process once: there both servers share what opened it.
        other = one if dialect == "sqlite" else open_database(url)
        stack.callback(other.close)
        first, target = stack.enter_context(running_registry(one, store, stack))
        second, _ = stack.enter_context(running_registry(other, store, stack))
        tracking = stack.enter_context(running_tracking(tracking_url, target))
        channel = stack.enter_context(grpc.insecure_channel(target))
        request = registry_pb2.GetRegisteredModelRequest(name="x")
        stub: Any = RegistryServiceStub(channel)
        models = Replica(first.server, stub, request, "GetRegisteredModel")
        yield Deployment(first, second, tracking, models)


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
    deployment.first.stub.RevokeToken(request, timeout=30, metadata=metadata(SERVICE_TOKEN))
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


def test_a_scope_means_the_same_on_every_database(deployment: Deployment) -> None:
    deployment.make_token(pb.CONTRIBUTOR, models=["fraud_?-*"], experiments=["fraud_?-*"])
    runs: dict[str, str] = {}
    for name in ("fraud_1-a", "fraudX1-a", "fraud_12"):
        experiment_id = ask(deployment.tracking, "CreateExperiment", name=name).experiment_id
        run = ask(deployment.tracking, "CreateRun", experiment_id=experiment_id).run
        runs[name] = run.info.run_id
        ask(deployment.models, "CreateRegisteredModel", name=name)
    seen = ask(deployment.tracking, "SearchExperiments", TOKEN).experiments
    assert [found.name for found in seen] == ["fraud_1-a"]
    models = ask(deployment.models, "SearchRegisteredModels", TOKEN).registered_models
    assert [found.name for found in models] == ["fraud_1-a"]
    key = {"key": "k", "value": "v"}
    for name, run_id in runs.items():
        is_own = name == "fraud_1-a"
        for replica, rpc, about in (
            (deployment.tracking, "GetRun", {"run_id": run_id}),
            (deployment.tracking, "SetTag", {"run_id": run_id} | key),
            (deployment.models, "SetRegisteredModelTag", {"name": name} | key),
        ):
            code = refusal_of(lambda: ask(replica, rpc, TOKEN, **about))  # noqa: B023 - called at once
            assert code is (None if is_own else grpc.StatusCode.NOT_FOUND), (name, rpc)


def test_a_server_that_never_reached_the_registry_takes_the_services_token_only(
    tmp_path: Path,
) -> None:
    url = migrated_url("sqlite", tmp_path, modelyard_tracking.app.MIGRATIONS)
    with running_tracking(url, "127.0.0.1:1") as tracking:
        assert tracking.refusal(SERVICE_TOKEN) is None
        assert tracking.refusal(TOKEN) is grpc.StatusCode.UNAVAILABLE
        assert tracking.refusal("no-named-token-at-all") is grpc.StatusCode.UNAUTHENTICATED
