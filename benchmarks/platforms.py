"""The platforms that are measured: their databases, their processes, and what they hold."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from benchmarks import floors

from modelyard.api.artifacts.v1 import artifacts_pb2, artifacts_service_pb2_grpc
from modelyard.api.registry.v1 import registry_service_pb2_grpc
from modelyard.api.tracking.v1 import tracking_pb2, tracking_service_pb2_grpc
from modelyard_kit.db.migrations import migrate
from modelyard_kit.db.open import open_database
from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE

_PAGES: tuple[tuple[str, int], ...] = (("grpc.max_receive_message_length", -1),)


@dataclass(frozen=True)
class Platform:
    """Services over one database beside their floor.

    Attributes:
        database: "SQLite" or "PostgreSQL".
        to_tracking: Channel to tracking.
        tracking: Stub of tracking.
        registry: Stub of the registry.
        url: Address of the gateway, for the SDK.
        empty: Makes an empty call.
        commit: Makes a call with one durable commit of one row.
    """

    database: str
    to_tracking: grpc.Channel
    tracking: Any
    registry: Any
    url: str
    empty: Callable[[], object]
    commit: Callable[[], object]


def each_database(asked: Sequence[str]) -> Iterator[Platform]:
    """Run the services over SQLite, then over PostgreSQL with its data on disk.

    Args:
        asked: Parts that the command line names; all databases if it names none.
    """
    chosen = [name for name in ("sqlite", "postgresql") if name in asked]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if "sqlite" in chosen or not chosen:
            urls = {area: f"sqlite:///{folder}/{area}.db" for area in MIGRATIONS_BY_SERVICE}
            with _running("SQLite", folder, urls, f"sqlite:///{folder}/floor.db") as platform:
                yield platform
        if "postgresql" in chosen or not chosen:
            # From the tests, which other benchmarks do not need.
            from tests.support.databases.postgres import Postgres

            with closing(Postgres(on_disk=True)) as server:
                urls = {area: server.create() for area in MIGRATIONS_BY_SERVICE}
                with _running("PostgreSQL", folder / "pg", urls, server.create()) as platform:
                    yield platform


@contextmanager
def _running(
    database: str, folder: Path, urls: dict[str, str], floor_url: str
) -> Iterator[Platform]:
    for area, url in urls.items():
        with closing(open_database(url)) as opened:
            migrate(opened, MIGRATIONS_BY_SERVICE[area])
    with (
        floors.served(floor_url) as floor,
        _services(folder, urls) as targets,
        grpc.insecure_channel(targets["tracking"], _PAGES) as to_tracking,
        grpc.insecure_channel(targets["registry"]) as to_registry,
    ):
        empty: Any = floor.unary_unary("/floor/Empty")
        commit: Any = floor.unary_unary("/floor/Commit")
        yield Platform(
            database,
            to_tracking,
            tracking_service_pb2_grpc.TrackingServiceStub(to_tracking),
            registry_service_pb2_grpc.RegistryServiceStub(to_registry),
            f"http://{targets['gateway']}",
            lambda: empty(b"x"),
            lambda: commit(b"x"),
        )


@contextmanager
def _services(folder: Path, urls: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run tracking, registry and gateway over migrated databases; yield their addresses."""
    roles = ("tracking", "registry", "gateway")
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in roles]
        ports = [probe.getsockname()[1] for probe in sockets]
    targets = {role: f"127.0.0.1:{port}" for role, port in zip(roles, ports, strict=True)}
    variables = {
        "MODELYARD_HOME": str(folder / "home"),
        "MODELYARD_ARTIFACTS": str(folder / "objects"),
        "MODELYARD_PUBLIC_URL": f"http://{targets['gateway']}",
        **{f"MODELYARD_{role.upper()}_LISTEN": target for role, target in targets.items()},
        **{f"MODELYARD_{area.upper()}_TARGET": targets[area] for area in urls},
        **{f"MODELYARD_{area.upper()}_DATABASE_URL": url for area, url in urls.items()},
    }
    running = []
    try:
        for role in roles:
            process = subprocess.Popen(
                [sys.executable, "-m", "modelyard_server", role],
                env=os.environ | variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            running.append(process)
            if process.stdout is None or not process.stdout.readline():
                raise SystemExit(f"{role} did not start")
        yield targets
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def start_platform(home: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start `modelyard up` and return it with its addresses, by protocol."""
    command = [sys.executable, "-m", "modelyard_server", "up", "--home", str(home)]
    platform = subprocess.Popen(
        [*command, "--port", "0", "--grpc-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if platform.stdout is None or not platform.stdout.readline():
        raise SystemExit("the platform did not start")
    return platform, json.loads((home / "instance.json").read_text())


def make_run(tracking: Any) -> str:
    """Make a run with 10 metrics, 10 params and 5 tags; return its id."""
    request = tracking_pb2.CreateRunRequest(experiment_id="0")
    run_id: str = tracking.CreateRun(request).run.info.run_id
    tracking.LogBatch(
        tracking_pb2.LogBatchRequest(
            run_id=run_id,
            metrics=[tracking_pb2.Metric(key=f"m{i}", value=i / 7, timestamp=1) for i in range(10)],
            params=[tracking_pb2.Param(key=f"p{i}", value=str(i)) for i in range(10)],
            tags=[tracking_pb2.RunTag(key=f"t{i}", value=str(i)) for i in range(5)],
        )
    )
    return run_id


def log_model(to_tracking: grpc.Channel, run_id: str) -> str:
    """Put one small file below `model` in the run's artifacts; return the URI of the folder."""
    artifacts = artifacts_service_pb2_grpc.ArtifactsServiceStub(to_tracking)
    body = b"flavors: {}\n"
    digest = hashlib.sha256(body).hexdigest()
    file = artifacts_pb2.ArtifactFile(path="model/MLmodel", size_bytes=len(body), digest=digest)
    declared = artifacts.DeclareArtifacts(
        artifacts_pb2.DeclareArtifactsRequest(run_id=run_id, files=[file])
    )
    for upload in declared.uploads:
        put = urllib.request.Request(  # noqa: S310 - a URL of our own server
            upload.url, body, dict(upload.headers), method="PUT"
        )
        urllib.request.urlopen(put).close()  # noqa: S310 - as above
    artifacts.CommitArtifacts(artifacts_pb2.CommitArtifactsRequest(run_id=run_id, files=[file]))
    return f"runs:/{run_id}/model"
