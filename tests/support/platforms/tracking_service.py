"""A tracking service for one test, with a real server, socket and database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.support.databases.dialects import Dialect, open_migrated
from tests.support.stores.memory import MemoryStore

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.artifacts.v1 import artifacts_service_pb2_grpc as artifacts_rpc
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.api.tracking.v1 import tracking_service_pb2_grpc as tracking_rpc
from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.rpc.grpc_errors import error_info
from modelyard_kit.rpc.server import RpcServer
from modelyard_tracking.app import MIGRATIONS, mount

START_MS = 1_700_000_000_000


class Clock:
    """A clock that never returns the same millisecond twice.

    Attributes:
        ahead_ms: Added to each time; a test sets it to let time pass.
    """

    def __init__(self) -> None:
        self._ticks = count(START_MS + 1)
        self.ahead_ms = 0

    def __call__(self) -> int:
        return next(self._ticks) + self.ahead_ms


class Tracking:
    """Stubs of a running service, its store, and helpers for common calls.

    Attributes:
        clock: Clock of the service, if `tracking_at` runs it.
    """

    clock: Clock

    def __init__(self, channel: grpc.Channel, store: MemoryStore) -> None:
        self.rpc: Any = tracking_rpc.TrackingServiceStub(channel)
        self.artifacts: Any = artifacts_rpc.ArtifactsServiceStub(channel)
        self.store = store

    def create_run(self, experiment_id: str = "0", **fields: Any) -> str:
        reply = self.rpc.CreateRun(pb.CreateRunRequest(experiment_id=experiment_id, **fields))
        return str(reply.run.info.run_id)

    def get_run(self, run_id: str) -> pb.Run:
        run: pb.Run = self.rpc.GetRun(pb.GetRunRequest(run_id=run_id)).run
        return run

    def create_model(self, run_id: str, name: str = "model", *, ready: bool = True) -> str:
        created = self.rpc.CreateLoggedModel(
            pb.CreateLoggedModelRequest(experiment_id="0", name=name, source_run_id=run_id)
        )
        model_id = str(created.model.info.model_id)
        if ready:
            self.finalize(model_id)
        return model_id

    def finalize(self, model_id: str) -> None:
        status = pb.LOGGED_MODEL_READY
        self.rpc.FinalizeLoggedModel(
            pb.FinalizeLoggedModelRequest(model_id=model_id, status=status)
        )

    def log_files(self, files: dict[str, bytes], **owner: str) -> None:
        """Declare, store and commit files of a run or model."""
        messages = [file_message(path, data) for path, data in files.items()]
        self.artifacts.DeclareArtifacts(artifacts.DeclareArtifactsRequest(files=messages, **owner))
        for data in files.values():
            self.store.put(Digest.of(data), [data], len(data))
        self.artifacts.CommitArtifacts(artifacts.CommitArtifactsRequest(files=messages, **owner))

    def history(self, run_id: str, key: str) -> list[tuple[int, int, float]]:
        """All points as (timestamp, step, value)."""
        reply = self.rpc.GetMetricHistory(pb.GetMetricHistoryRequest(run_id=run_id, metric_key=key))
        return [(metric.timestamp, metric.step, metric.value) for metric in reply.metrics]


def file_message(path: str, data: bytes) -> artifacts.ArtifactFile:
    return artifacts.ArtifactFile(path=path, size_bytes=len(data), digest=Digest.of(data))


@contextmanager
def tracking_at(
    folder: Path,
    dialect: Dialect = "sqlite",
    token: str | None = None,
    store: MemoryStore | None = None,
) -> Iterator[Tracking]:
    """Run a tracking service; its database is the same for each call with one folder.

    Each further call needs the store of the first one.
    """
    database = open_migrated(dialect, folder, MIGRATIONS)
    signer = UrlSigner(b"s" * 32, lambda: "http://store.test")
    store = store or MemoryStore(signer)
    server = RpcServer(token)
    clock = Clock()
    mount(server, database, store, signer, clock)
    server.on_close(database.close)
    (port,) = server.start("127.0.0.1:0")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        tracking = Tracking(channel, store)
        tracking.clock = clock
        yield tracking
    server.drain(5)


@contextmanager
def refused(reason: str, *fragments: str) -> Iterator[None]:
    """Expect a call to be refused with `reason` and a message that contains the fragments."""
    with pytest.raises(grpc.RpcError) as caught:
        yield
    info = error_info(caught.value)
    details = str(caught.value.details())
    assert info is not None, details
    assert info.reason == reason, details
    for fragment in fragments:
        assert fragment in details
