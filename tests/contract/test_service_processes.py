"""Services in processes of their own: before their database, with TLS, as replicas, under load."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.support.databases import postgres
from tests.support.http.certificates import Authority
from tests.support.processes.service_processes import TOKEN, Service, service, starting

import modelyard_registry.app
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard_kit.db.migrations import migrate
from modelyard_kit.db.open import open_database
from modelyard_kit.rpc.channel import connect
from modelyard_server.processes.running import GRACE_S

REGISTRY = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]
HEAD = modelyard_registry.app.MIGRATIONS.head
CLIENTS = 4
ROUNDS = 3
CALLS = 200
TAKEN_AT_ONCE = 80  # 16 threads, and 4 calls that wait for each


def until(condition: Callable[[], bool]) -> None:
    """Wait for what nobody announces; the test's own timeout ends a vain wait."""
    while not condition():
        threading.Event().wait(0.05)


def migrated(url: str) -> None:
    database = open_database(url)
    migrate(database, modelyard_registry.app.MIGRATIONS)
    database.close()


def registry(
    url: str, folder: Path, *arguments: str, **variables: str
) -> AbstractContextManager[Service]:
    flags = ("--listen", "127.0.0.1:0", "--database-url", url, "--home", str(folder), *arguments)
    return service("registry", *flags, **variables)


def health(target: str) -> int:
    with connect(target, REGISTRY) as channel:
        request = health_pb2.HealthCheckRequest(service=REGISTRY.full_name)
        status: int = health_pb2_grpc.HealthStub(channel).Check(request, timeout=30).status
        return status


@pytest.mark.postgres
def test_a_service_waits_for_its_schema_and_tells_what_it_needs(tmp_path: Path) -> None:
    url = postgres.server().create()
    needed = f"The registry database is at revision none, this version needs {HEAD}."
    with registry(url, tmp_path) as running, connect(running.address, REGISTRY) as channel:
        assert "listening, not ready yet" in running.ready_line
        assert running.readiness == (503, f"registry: {needed} Run `modelyard migrate`.")
        assert running.monitored("/livez") == (200, "ok")
        assert health(running.address) == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.RpcError, match=needed) as refused:
            RegistryServiceStub(channel).SearchRegisteredModels(pb.SearchRegisteredModelsRequest())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

        migrated(url)
        assert running.readiness == (200, "ok")
        assert health(running.address) == health_pb2.HealthCheckResponse.SERVING
        RegistryServiceStub(channel).SearchRegisteredModels(pb.SearchRegisteredModelsRequest())


@pytest.mark.postgres
def test_a_database_that_goes_away_makes_a_service_not_ready_and_leaves_it_alive(
    tmp_path: Path,
) -> None:
    server = postgres.Postgres()
    try:
        url = server.create()
        migrated(url)
        server.stop()
        with registry(url, tmp_path) as running:
            assert "listening, not ready yet" in running.ready_line
            status, why = running.readiness
            assert status == 503
            assert why.startswith("registry: The database cannot be")
            server.start()
            until(lambda: running.readiness == (200, "ok"))
            server.crash()
            until(lambda: running.readiness[0] == 503)
            assert running.monitored("/livez") == (200, "ok")
            server.start()
            until(lambda: running.readiness == (200, "ok"))
    finally:
        server.close()


@pytest.mark.parametrize("role", ["tracking", "gateway"])
def test_a_service_that_waits_for_a_store_to_answer_stops_when_told(
    role: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            "MODELYARD_HOME": str(tmp_path),
            "MODELYARD_ARTIFACTS": "s3://bucket",
            "MODELYARD_S3_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "a",
        }
        with starting(role, **settings) as process:
            asked, _ = silent.accept()
            process.terminate()
            assert process.wait(GRACE_S) == 0
            asked.close()


def test_services_show_and_ask_for_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    settings = authority.variables(mutual=True)
    files = authority.files(mutual=True)
    migrated(f"sqlite:///{tmp_path}/registry.db")
    with registry("", tmp_path, **settings) as running:
        context = ssl.create_default_context(cafile=str(authority.ca))
        edge = ("--listen", "127.0.0.1:0", "--home", tmp_path)
        targets = {"MODELYARD_REGISTRY_TARGET": running.address}
        with service("gateway", *edge, **settings, **targets) as gateway:
            assert " https://127.0.0.1:" in gateway.ready_line
            path = "/api/2.0/mlflow/registered-models/search?max_results=5"
            assert asked(gateway, context, path)[0] == 200
            assert gateway.readiness == (200, "ok")
            assert b"Not ready: tracking." in asked(gateway, context, "/health")[1]
        for credentials, code in [
            (files.channel_credentials(), grpc.StatusCode.OK),
            (grpc.ssl_channel_credentials(authority.ca.read_bytes()), grpc.StatusCode.UNAVAILABLE),
            (None, grpc.StatusCode.UNAVAILABLE),
        ]:
            with connect(running.address, credentials=credentials) as channel:
                search = RegistryServiceStub(channel).SearchRegisteredModels
                call = search.future(pb.SearchRegisteredModelsRequest(), timeout=60)
                assert call.code() is code


def asked(gateway: Service, context: ssl.SSLContext, path: str) -> tuple[int, bytes]:
    host, _, port = gateway.address.rpartition(":")
    connection = http.client.HTTPSConnection(host, int(port), timeout=60, context=context)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


class Replicas:
    """Two registries on one database, and clients that call both."""

    def __init__(self, folder: Path, undo: ExitStack) -> None:
        url = postgres.server().migrated(modelyard_registry.app.MIGRATIONS)
        self.services = [undo.enter_context(registry(url, folder)) for _ in range(2)]
        self.target = "ipv4:" + ",".join(running.address for running in self.services)
        self.outcomes: Counter[str] = Counter()
        self.over = threading.Event()

    def call_until_over(self) -> None:
        with connect(self.target, REGISTRY) as channel:
            stub = RegistryServiceStub(channel)
            number = 0
            while not self.over.is_set():
                number += 1
                name = f"{threading.get_ident()}-{number}"
                create = pb.CreateRegisteredModelRequest(name=name)
                get = pb.GetRegisteredModelRequest(name=name)
                for rpc, request in (
                    (stub.CreateRegisteredModel, create),
                    (stub.GetRegisteredModel, get),
                ):
                    call = rpc.future(request, timeout=60)
                    self.outcomes[f"{call.code().name} {call.details() or ''}".strip()] += 1


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    with ExitStack() as undo:
        yield Replicas(tmp_path, undo)


@pytest.mark.postgres
def test_stopping_one_of_two_replicas_under_load_fails_no_call(replicas: Replicas) -> None:
    clients = [threading.Thread(target=replicas.call_until_over) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    until(lambda: replicas.outcomes["OK"] > 50)
    assert replicas.services[0].stop() == 0
    after = replicas.outcomes["OK"]
    until(lambda: replicas.outcomes["OK"] > after + 50)
    replicas.over.set()
    for client in clients:
        client.join()
    assert set(replicas.outcomes) == {"OK"}


@pytest.mark.postgres
def test_a_gateway_spreads_calls_over_replicas_and_outlives_one(
    replicas: Replicas, tmp_path: Path
) -> None:
    def calls(running: Service) -> float:
        lines = running.monitored("/metrics")[1].splitlines()
        found = [line for line in lines if "_count{" in line and "SearchRegisteredModels" in line]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    edge = ("--listen", "127.0.0.1:0", "--home", tmp_path)
    with service("gateway", *edge, MODELYARD_REGISTRY_TARGET=replicas.target) as gateway:

        def search() -> int:
            host, _, port = gateway.address.rpartition(":")
            connection = http.client.HTTPConnection(host, int(port), timeout=60)
            try:
                connection.request("GET", "/api/2.0/mlflow/registered-models/search?max_results=5")
                return connection.getresponse().status
            finally:
                connection.close()

        until(lambda: search() == 200 and all(calls(running) for running in replicas.services))
        replicas.services[0].kill()
        assert [search() for _ in range(10)] == [200] * 10


def test_a_service_that_stops_ends_its_streams_with_a_time_to_come_back(tmp_path: Path) -> None:
    migrated(f"sqlite:///{tmp_path}/registry.db")
    with registry("", tmp_path) as running, connect(running.address, REGISTRY) as channel:
        stream = RegistryServiceStub(channel).WatchModels(pb.WatchModelsRequest(name="m"))
        next(stream)
        running.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError, match="The server is stopping") as ended:
            next(stream)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        trailing: Any = ended.value.trailing_metadata()
        assert b"google.rpc.RetryInfo" in dict(trailing)["grpc-status-details-bin"]
        assert running.process.wait(60) == 0


def test_a_service_goes_on_answering_for_its_drain_delay(tmp_path: Path) -> None:
    migrated(f"sqlite:///{tmp_path}/registry.db")
    flags = ("--drain-delay-s", "600")
    with registry("", tmp_path, *flags) as running, connect(running.address, REGISTRY) as channel:
        running.process.send_signal(signal.SIGTERM)
        until(lambda: running.readiness == (503, "Stopping."))
        assert health(running.address) == health_pb2.HealthCheckResponse.NOT_SERVING
        search = pb.SearchRegisteredModelsRequest()
        RegistryServiceStub(channel).SearchRegisteredModels(search)
        running.process.send_signal(signal.SIGTERM)  # told again, it does not wait
        assert running.process.wait(60) == 0


def test_more_calls_than_it_takes_are_refused_at_once_and_it_stays_up(tmp_path: Path) -> None:
    migrated(f"sqlite:///{tmp_path}/registry.db")
    (tmp_path / "token").write_text(TOKEN)
    token = {"MODELYARD_TOKEN_FILE": str(tmp_path / "token")}
    metadata = (("authorization", f"Bearer {TOKEN}"),)
    with registry("", tmp_path, **token) as running, ExitStack() as undo:
        own = (("grpc.use_local_subchannel_pool", 1),)  # a connection each
        stubs = [
            RegistryServiceStub(undo.enter_context(grpc.insecure_channel(running.address, own)))
            for _ in range(CLIENTS)
        ]
        request = pb.SearchRegisteredModelsRequest(max_results=10)
        codes: Counter[grpc.StatusCode] = Counter()
        for stub in stubs:
            stub.SearchRegisteredModels(request, metadata=metadata)
        for _ in range(ROUNDS):
            running.process.send_signal(signal.SIGSTOP)
            calls = [
                stub.SearchRegisteredModels.future(request, timeout=60, metadata=metadata)
                for _ in range(CALLS)
                for stub in stubs
            ]
            running.process.send_signal(signal.SIGCONT)
            assert health(running.address) == health_pb2.HealthCheckResponse.SERVING
            assert running.readiness == (200, "ok")
            codes.update(call.code() for call in calls)
        assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert codes[grpc.StatusCode.OK] >= ROUNDS * TAKEN_AT_ONCE
        stubs[0].SearchRegisteredModels(request, metadata=metadata)
