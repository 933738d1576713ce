"""Tracking and the registry with one store, with hooks before and after the store's steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import delete
from tests.support.databases.dialects import Dialect, open_migrated
from tests.support.platforms.tracking_service import Tracking, file_message
from tests.support.stores.memory import MemoryStore

import modelyard_registry.app
import modelyard_tracking.app
from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard_gateway.backends import SERVICES
from modelyard_kit.artifacts import Digest, Manifest, UrlSigner
from modelyard_kit.db.base import Database
from modelyard_kit.rpc.channel import connect
from modelyard_kit.rpc.server import RpcServer
from modelyard_tracking.models import Base, Experiment
from modelyard_tracking.rules.artifacts import GRACE_MS, LEASE_MS
from modelyard_tracking.rules.values import DEFAULT_EXPERIMENT

TOKEN = "the-token-of-the-services"
_METADATA = (("authorization", f"Bearer {TOKEN}"),)


class HookedStore(MemoryStore):
    """Calls the hooks that a test has set in `before` or `after`, by name of the method."""

    def __init__(self, signer: UrlSigner) -> None:
        super().__init__(signer)
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}

    def _call(self, hooks: dict[str, Callable[[], None]], name: str) -> None:
        hook = hooks.pop(name, None)  # once: a hook may call the platform itself
        if hook is not None:
            hook()

    def sizes_bytes(self, digests: Collection[Digest]) -> dict[Digest, int]:
        self._call(self.before, "sizes_bytes")
        sizes = super().sizes_bytes(digests)
        self._call(self.after, "sizes_bytes")
        return sizes

    def put(self, digest: Digest, chunks: Iterable[bytes], size_bytes: int) -> None:
        self._call(self.before, "put")
        super().put(digest, chunks, size_bytes)

    @contextmanager
    def open(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        self._call(self.before, "open")
        with super().open(digest, start, end) as chunks:
            yield chunks

    def delete(self, digest: Digest) -> None:
        self._call(self.before, "delete")
        super().delete(digest)
        self._call(self.after, "delete")


class MovedClock:
    """The system's clock, advanced by an offset that tests set."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self.calls_until_jump = -1
        self.jump_ms = 0

    def __call__(self) -> int:
        if self.calls_until_jump == 0:
            self.ahead_ms += self.jump_ms
        self.calls_until_jump -= 1
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def end_leases(self) -> None:
        self.ahead_ms += LEASE_MS + GRACE_MS + 1000


@dataclass
class Platform:
    tracking: Tracking
    registry: Any
    store: HookedStore
    clock: MovedClock
    database: Database
    registry_database: Database
    registry_server: RpcServer
    replica: Callable[[], AbstractContextManager[Any]]
    """Runs a second tracking service on the same database and returns its stub."""

    @property
    def objects(self) -> set[Digest]:
        return {found.digest for found in self.store.list_objects()}

    def sweep_page(
        self, page_token: str = "", *, dry_run: bool = False, force: bool = False
    ) -> pb.SweepObjectsResponse:
        request = pb.SweepObjectsRequest(dry_run=dry_run, page_token=page_token, force=force)
        reply: pb.SweepObjectsResponse = self.tracking.artifacts.SweepObjects(request)
        return reply

    def sweep(self, *, dry_run: bool = False, force: bool = False) -> set[Digest]:
        """Sweep all pages and return the removed objects."""
        removed: set[Digest] = set()
        page_token = ""
        while True:
            reply = self.sweep_page(page_token, dry_run=dry_run, force=force)
            removed.update(Digest(item.digest) for item in reply.objects)
            page_token = reply.next_page_token
            if not page_token:
                return removed

    def declare(self, run_id: str, data: bytes) -> pb.DeclareArtifactsResponse:
        """Declare a file of a run, without uploading it."""
        reply: pb.DeclareArtifactsResponse = self.tracking.artifacts.DeclareArtifacts(
            pb.DeclareArtifactsRequest(run_id=run_id, files=[file_message("a", data)])
        )
        return reply

    def delete_files(self, run_id: str, path: str = "") -> None:
        self.tracking.artifacts.DeleteArtifacts(pb.DeleteArtifactsRequest(run_id=run_id, path=path))

    def register(self, run_id: str, path: str = "model", name: str = "iris") -> str:
        """Register the next version of a model, creating the model, and return its number."""
        if name not in self._names():
            self.registry.CreateRegisteredModel(
                registry_pb2.CreateRegisteredModelRequest(name=name)
            )
        request = registry_pb2.CreateModelVersionRequest(name=name, source=f"runs:/{run_id}/{path}")
        return str(self.registry.CreateModelVersion(request).model_version.version)

    def _names(self) -> set[str]:
        reply = self.registry.SearchRegisteredModels(registry_pb2.SearchRegisteredModelsRequest())
        return {model.name for model in reply.registered_models}

    def delete_version(self, version: str, name: str = "iris") -> None:
        request = registry_pb2.DeleteModelVersionRequest(name=name, version=version)
        self.registry.DeleteModelVersion(request)

    def empty(self) -> None:
        """Remove what was logged, for the next test; registered versions must be deleted."""
        with self.database.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                if table.name == "installation":
                    continue
                is_default = Experiment.experiment_id == DEFAULT_EXPERIMENT
                rows = delete(table)
                session.execute(rows.where(~is_default) if table is Experiment.__table__ else rows)
        for digest in self.objects:
            self.store.delete(digest)

    def needed(self) -> set[Digest]:
        """Return the objects that registered versions need: their manifests and files."""
        reply = self.registry.ListPinnedManifests(registry_pb2.ListPinnedManifestsRequest())
        needed = set()
        for digest in map(Digest, reply.digests):
            with self.store.open(digest) as chunks:
                manifest = Manifest.from_bytes(b"".join(chunks))
            needed |= {digest, *(file.digest for file in manifest.files)}
        return needed


class _WithToken(grpc.UnaryUnaryClientInterceptor):
    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(
            details._replace(metadata=(*(details.metadata or ()), *_METADATA), timeout=30), request
        )


@contextmanager
def shared_platforms(folders: pytest.TempPathFactory) -> Iterator[Callable[[Dialect], Platform]]:
    """Yield a function that returns the platform on a database, started when first asked for."""
    with ExitStack() as stack:
        yield cache(
            lambda dialect: stack.enter_context(swept_platform(folders.mktemp(dialect), dialect))
        )


@contextmanager
def swept_platform(folder: Path, dialect: Dialect) -> Iterator[Platform]:
    signer = UrlSigner(b"s" * 32, lambda: "http://store.test")
    store, clock = HookedStore(signer), MovedClock()
    tracking_db = open_migrated(dialect, folder, modelyard_tracking.app.MIGRATIONS)
    registry_db = open_migrated(dialect, folder, modelyard_registry.app.MIGRATIONS)
    tracking_server, registry_server = RpcServer(TOKEN), RpcServer(TOKEN)
    socket = f"unix:{folder}/registry.sock"
    with (
        connect(socket, *SERVICES["registry"]) as to_registry,
        connect(f"unix:{folder}/tracking.sock", *SERVICES["tracking"]) as to_tracking,
    ):
        modelyard_tracking.app.mount(
            tracking_server, tracking_db, store, signer, clock, registry=to_registry, token=TOKEN
        )
        modelyard_registry.app.mount(registry_server, registry_db, store, to_tracking, clock)
        tracking_server.start(f"unix:{folder}/tracking.sock")
        registry_server.start(socket)
        asking = grpc.intercept_channel(to_tracking, _WithToken())
        registry: Any = RegistryServiceStub(grpc.intercept_channel(to_registry, _WithToken()))

        @contextmanager
        def replica() -> Iterator[Any]:
            server = RpcServer(TOKEN)
            modelyard_tracking.app.mount(
                server, tracking_db, store, signer, clock, registry=to_registry, token=TOKEN
            )
            server.start(f"unix:{folder}/replica.sock")
            with connect(f"unix:{folder}/replica.sock", *SERVICES["tracking"]) as channel:
                yield ArtifactsServiceStub(grpc.intercept_channel(channel, _WithToken()))
            server.drain(5)

        yield Platform(
            Tracking(asking, store),
            registry,
            store,
            clock,
            tracking_db,
            registry_db,
            registry_server,
            replica,
        )
        tracking_server.drain(5)
        registry_server.drain(5)
    tracking_db.close()
    registry_db.close()
