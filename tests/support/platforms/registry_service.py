"""The registry on a real socket, with a small tracking service that seals prepared files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import select
from tests.support.databases.dialects import Dialect, open_migrated
from tests.support.stores.memory import MemoryStore

from modelyard.api.artifacts.v1 import artifacts_pb2, artifacts_service_pb2
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1 import registry_service_pb2
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard_kit import errors
from modelyard_kit.artifacts import Digest, Manifest, ManifestFile, ManifestPart, UrlSigner
from modelyard_kit.db.base import Database
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.server import RpcServer
from modelyard_registry.app import MIGRATIONS, mount
from modelyard_registry.models import Base

RUN = hashlib.md5(b"run", usedforsecurity=False).hexdigest()
OTHER_RUN = hashlib.md5(b"other run", usedforsecurity=False).hexdigest()
LOGGED_MODEL = "m-" + hashlib.md5(b"model", usedforsecurity=False).hexdigest()
LOGGED_MODEL_OF_NO_RUN = "m-" + "0" * 32
SOURCE = f"runs:/{RUN}/model"
_SEALABLE = {RUN, OTHER_RUN, LOGGED_MODEL, LOGGED_MODEL_OF_NO_RUN}
TRACKING = artifacts_service_pb2.DESCRIPTOR.services_by_name["ArtifactsService"]
REGISTRY = registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"]


@dataclass
class SealingTracking:
    """Seals two runs and two logged models; the digest depends on the owner and on the path."""

    store: MemoryStore
    sealed: list[artifacts_pb2.SealManifestRequest] = field(default_factory=list)

    def SealManifest(
        self, request: artifacts_pb2.SealManifestRequest, _context: grpc.ServicerContext
    ) -> artifacts_pb2.SealManifestResponse:
        self.sealed.append(request)
        if (request.run_id or request.model_id) not in _SEALABLE:
            raise errors.NotFound(f"Run with id={request.run_id} not found")
        manifest = self._keep(f"{request.run_id}{request.model_id}/{request.path}".encode())
        return artifacts_pb2.SealManifestResponse(
            digest=manifest.digest,
            manifest=manifest.to_bytes(),
            run_id=None if request.model_id == LOGGED_MODEL_OF_NO_RUN else request.run_id or RUN,
            experiment_id="7",
            model_id=request.model_id or None,
        )

    def InspectObjects(
        self, request: artifacts_pb2.InspectObjectsRequest, _context: grpc.ServicerContext
    ) -> artifacts_pb2.InspectObjectsResponse:
        damaged = [found for found in request.digests if not self.store.has(Digest(found))]
        return artifacts_pb2.InspectObjectsResponse(damaged=damaged)

    def _keep(self, content: bytes) -> Manifest:
        parts = (content[:5], content[5:])
        for data in (content, *parts):
            self.store.put(Digest.of(data), [data], len(data))
        whole = ManifestFile("MLmodel", len(content), Digest.of(content))
        pieces = tuple(ManifestPart(Digest.of(part), len(part)) for part in parts)
        in_parts = ManifestFile("weights.bin", len(content), Digest.of(content), pieces)
        manifest = Manifest([whole, in_parts])
        data = manifest.to_bytes()
        self.store.put(manifest.digest, [data], len(data))
        return manifest


class Time:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@dataclass
class Registry:
    """A running registry, with helpers for its RPCs."""

    stub: Any
    database: Database
    store: MemoryStore
    tracking: SealingTracking
    tracking_server: RpcServer
    server: RpcServer
    time: Time
    target: str

    def call(self, rpc: str, request: Any, **metadata: str) -> Any:
        """Call one RPC as `ada`; a refusal is raised as the kit's error."""
        pairs = {"x-modelyard-user": "ada"} | {
            key.replace("_", "-"): value for key, value in metadata.items()
        }
        try:
            return getattr(self.stub, rpc)(request, timeout=30, metadata=tuple(pairs.items()))
        except grpc.RpcError as error:
            raise grpc_errors.from_rpc(error, "registry") from error

    def create_model(self, name: str = "iris", **fields: Any) -> pb.RegisteredModel:
        request = pb.CreateRegisteredModelRequest(name=name, **fields)
        reply: pb.CreateRegisteredModelResponse = self.call("CreateRegisteredModel", request)
        return reply.registered_model

    def create_version(
        self, name: str = "iris", source: str = SOURCE, **fields: Any
    ) -> pb.ModelVersion:
        request = pb.CreateModelVersionRequest(name=name, source=source, **fields)
        reply: pb.CreateModelVersionResponse = self.call("CreateModelVersion", request)
        return reply.model_version

    def move(
        self, version: int | str, stage: str, name: str = "iris", **fields: Any
    ) -> pb.ModelVersion:
        request = pb.TransitionModelVersionStageRequest(
            name=name, version=str(version), stage=stage, **fields
        )
        reply: pb.TransitionModelVersionStageResponse = self.call(
            "TransitionModelVersionStage", request
        )
        return reply.model_version

    def roll_back(
        self, stage: str = "Production", name: str = "iris", **fields: Any
    ) -> pb.ModelVersion:
        request = pb.RollbackStageRequest(name=name, stage=stage, **fields)
        reply: pb.RollbackStageResponse = self.call("RollbackStage", request)
        return reply.model_version

    def roll_back_alias(
        self, alias: str = "champion", name: str = "iris", **fields: Any
    ) -> pb.ModelVersion:
        request = pb.RollbackAliasRequest(name=name, alias=alias, **fields)
        reply: pb.RollbackAliasResponse = self.call("RollbackAlias", request)
        return reply.model_version

    def rename(self, name: str, new_name: str) -> pb.RegisteredModel:
        request = pb.RenameRegisteredModelRequest(name=name, new_name=new_name)
        reply: pb.RenameRegisteredModelResponse = self.call("RenameRegisteredModel", request)
        return reply.registered_model

    def get_model(self, name: str = "iris") -> pb.RegisteredModel:
        request = pb.GetRegisteredModelRequest(name=name)
        reply: pb.GetRegisteredModelResponse = self.call("GetRegisteredModel", request)
        return reply.registered_model

    def get_version(self, version: int | str, name: str = "iris") -> pb.ModelVersion:
        request = pb.GetModelVersionRequest(name=name, version=str(version))
        reply: pb.GetModelVersionResponse = self.call("GetModelVersion", request)
        return reply.model_version

    def set_alias(self, alias: str, version: int | str, name: str = "iris") -> None:
        request = pb.SetRegisteredModelAliasRequest(name=name, alias=alias, version=str(version))
        self.call("SetRegisteredModelAlias", request)

    def stages(self, name: str = "iris") -> dict[str, str]:
        request = pb.SearchModelVersionsRequest(filter=f"name='{name}'")
        found = self.call("SearchModelVersions", request).model_versions
        return {version.version: version.current_stage for version in found}

    def events(self, name: str = "iris") -> list[pb.ModelEvent]:
        request = pb.ListModelEventsRequest(name=name, page_size=1000)
        return list(self.call("ListModelEvents", request).events)

    def search(self, filter_text: str, *order_by: str) -> list[str]:
        """Return the versions that a search finds, as `name/version`."""
        request = pb.SearchModelVersionsRequest(filter=filter_text, order_by=order_by)
        found = self.call("SearchModelVersions", request).model_versions
        return [f"{version.name}/{version.version}" for version in found]

    def rows(self) -> dict[str, list[str]]:
        """Return the contents of all tables."""
        with self.database.read() as session:
            return {
                table.name: [str(row) for row in session.execute(select(table).order_by(*table.c))]
                for table in Base.metadata.sorted_tables
            }


@contextmanager
def running_registry(
    folder: Path,
    dialect: Dialect = "sqlite",
    *,
    protects_staged: bool = False,
    store: MemoryStore | None = None,
) -> Iterator[Registry]:
    """Run a registry; another one on the same database needs the store of the first."""
    store = store or MemoryStore(UrlSigner(b"0" * 32, lambda: "http://gateway.test"))
    tracking = SealingTracking(store)
    tracking_server = RpcServer()
    tracking_server.add(TRACKING, tracking)
    [tracking_port] = tracking_server.start("127.0.0.1:0")
    database = open_migrated(dialect, folder, MIGRATIONS)
    server, time = RpcServer(), Time()
    with connect(f"127.0.0.1:{tracking_port}", TRACKING) as channel:
        mount(server, database, store, channel, time, protects_staged=protects_staged)
        [port] = server.start("127.0.0.1:0")
        target = f"127.0.0.1:{port}"
        with connect(target, REGISTRY) as client:
            stub: Any = RegistryServiceStub(client)
            yield Registry(stub, database, store, tracking, tracking_server, server, time, target)
        server.drain(grace_s=5)
    tracking_server.drain(grace_s=5)
    database.close()


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run `work` in threads that start at once, and raise the first error of any of them."""
    start = threading.Barrier(count)
    raised: list[BaseException] = []

    def run(index: int) -> None:
        start.wait()
        try:
            work(index)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's thread
            raised.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]


@contextmanager
def refused(
    registry: Registry, error: type[errors.Error], match: str
) -> Iterator[pytest.ExceptionInfo[errors.Error]]:
    """Check that the calls inside the block are refused and leave every table unchanged."""
    before = registry.rows()
    with pytest.raises(error, match=match) as caught:
        yield caught
    assert registry.rows() == before
