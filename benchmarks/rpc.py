"""Time the hot RPCs beside their floor, on SQLite and on PostgreSQL.

The floor of a read is an empty unary call to a bare gRPC server; the floor of a write is that call
with one durable commit of one small row in the same database. Tracking, registry and gateway run in
their own processes, and so does the floor; calls to floor and product alternate, so that a drift of
the machine affects both. Quote the ratios. PostgreSQL comes from the tests, with its data on disk.

    python -m benchmarks.rpc [rounds]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
from benchmarks import floors

from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from modelyard.api.tracking.v1 import tracking_pb2, tracking_service_pb2_grpc
from modelyard_kit.db.migrations import migrate
from modelyard_kit.db.open import open_database
from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE

WARM_UP = 50


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


def prepare(to_tracking: grpc.Channel, to_registry: grpc.Channel) -> tuple[str, list[str]]:
    """Make a run with some metrics and a model with two versions; return the run's id."""
    tracking = tracking_service_pb2_grpc.TrackingServiceStub(to_tracking)
    registry = registry_service_pb2_grpc.RegistryServiceStub(to_registry)
    run_id = tracking.CreateRun(tracking_pb2.CreateRunRequest(experiment_id="0")).run.info.run_id
    tracking.LogBatch(
        tracking_pb2.LogBatchRequest(
            run_id=run_id,
            metrics=[tracking_pb2.Metric(key=f"m{i}", value=i, timestamp=1) for i in range(10)],
            params=[tracking_pb2.Param(key=f"p{i}", value="v") for i in range(10)],
        )
    )
    seal_source(to_tracking, run_id)
    registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name="iris"))
    source = f"runs:/{run_id}/model"
    request = registry_pb2.CreateModelVersionRequest(name="iris", source=source)
    versions = [registry.CreateModelVersion(request).model_version.version for _ in range(2)]
    registry.TransitionModelVersionStage(transition(versions[0]))
    return run_id, versions


def seal_source(channel: grpc.Channel, run_id: str) -> None:
    """Put one small file below `model` in the run's artifacts."""
    import hashlib
    import urllib.request

    from modelyard.api.artifacts.v1 import artifacts_service_pb2_grpc

    artifacts = artifacts_service_pb2_grpc.ArtifactsServiceStub(channel)
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


def transition(version: str) -> registry_pb2.TransitionModelVersionStageRequest:
    return registry_pb2.TransitionModelVersionStageRequest(
        name="iris", version=version, stage="Production"
    )


def timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def compare(
    name: str,
    call: Callable[[], Any],
    floor: Callable[[], Any],
    rounds: int,
    warm_up: int = WARM_UP,
) -> None:
    """Print the medians of both, in milliseconds, and the median of the paired ratios."""
    for _ in range(warm_up):
        call()
        floor()
    pairs = [(timed(call), timed(floor)) for _ in range(rounds)]
    ours, theirs = (statistics.median(times) * 1000 for times in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{name:<28}{ours:>9.2f}{theirs:>9.2f}{ratio:>8.2f}")


@contextmanager
def services(folder: Path, urls: dict[str, str]) -> Iterator[dict[str, str]]:
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


def measure(name: str, folder: Path, urls: dict[str, str], floor_url: str, rounds: int) -> None:
    """Print the table of one database.

    Args:
        name: Name of the database for the table.
        folder: Folder for files.
        urls: URLs of migrated databases, by service.
        floor_url: URL of a database for the floor.
        rounds: Number of times each RPC is timed.
    """
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    context.Process(target=floors.serve, args=(floor_url, child), daemon=True).start()
    with (
        grpc.insecure_channel(f"127.0.0.1:{parent.recv()}") as floor,
        services(folder, urls) as targets,
        grpc.insecure_channel(targets["tracking"]) as to_tracking,
        grpc.insecure_channel(targets["registry"]) as to_registry,
    ):
        empty: Any = floor.unary_unary("/floor/Empty")
        commit: Any = floor.unary_unary("/floor/Commit")
        run_id, versions = prepare(to_tracking, to_registry)
        tracking = tracking_service_pb2_grpc.TrackingServiceStub(to_tracking)
        registry = registry_service_pb2_grpc.RegistryServiceStub(to_registry)
        steps = iter(range(10**9))
        print(f"{name + ', median of ' + str(rounds):<28}{'ms':>9}{'floor':>9}{'ratio':>8}")

        def log_metric() -> None:
            tracking.LogMetric(
                tracking_pb2.LogMetricRequest(
                    run_id=run_id, key="loss", value=0.5, timestamp=1, step=next(steps)
                )
            )

        def get_run() -> None:
            tracking.GetRun(tracking_pb2.GetRunRequest(run_id=run_id))

        def promote() -> None:
            registry.TransitionModelVersionStage(transition(versions[next(steps) % 2]))

        def resolve() -> None:
            uri = "models:/iris/Production"
            registry.ResolveModel(registry_pb2.ResolveModelRequest(uri=uri))

        compare("log_metric / commit", log_metric, lambda: commit(b"x"), rounds)
        compare("transition / commit", promote, lambda: commit(b"x"), rounds)
        compare("get_run / empty call", get_run, lambda: empty(b"x"), rounds)
        compare("resolve / empty call", resolve, lambda: empty(b"x"), rounds)


def migrated(urls: dict[str, str]) -> dict[str, str]:
    for area, url in urls.items():
        with closing(open_database(url)) as database:
            migrate(database, MIGRATIONS_BY_SERVICE[area])
    return urls


def main(rounds: int = 500) -> None:
    from tests.support.databases.postgres import (
        Postgres,  # from the tests, which other benchmarks do not need
    )

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = migrated({area: f"sqlite:///{folder}/{area}.db" for area in MIGRATIONS_BY_SERVICE})
        measure("SQLite", folder / "sqlite", files, f"sqlite:///{folder}/floor.db", rounds)
        with closing(Postgres(on_disk=True)) as server:
            urls = migrated({area: server.create() for area in MIGRATIONS_BY_SERVICE})
            print()
            measure("PostgreSQL", folder / "postgresql", urls, server.create(), rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
