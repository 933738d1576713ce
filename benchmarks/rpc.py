"""Time the hot RPCs beside their floor, in one run.

The floor of a read is an empty unary call over gRPC to a server without anything around it; the
floor of a write is that call with one durable SQLite commit of one small row in it. Both run in
processes of their own, and calls to floor and product alternate, so that a drift of the machine
hits both. Quote the ratios.

    python -m benchmarks.rpc [rounds]
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import grpc

from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from modelyard.api.tracking.v1 import tracking_pb2, tracking_service_pb2_grpc

WARM_UP = 50


def floor_server(folder: str, ready: Connection) -> None:
    """Serve `/floor/Empty` and `/floor/Commit` until the parent goes away."""
    database = sqlite3.connect(f"{folder}/floor.db", isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE row (n INTEGER)")

    def empty(request: bytes, _context: grpc.ServicerContext) -> bytes:
        return request

    def commit(request: bytes, _context: grpc.ServicerContext) -> bytes:
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO row VALUES (1)")
        database.execute("COMMIT")
        return request

    server = grpc.server(ThreadPoolExecutor(1))
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(behavior)
        for name, behavior in (("Empty", empty), ("Commit", commit))
    }
    server.add_registered_method_handlers("floor", handlers)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("floor", handlers),))
    ready.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


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


def prepare(channel: grpc.Channel) -> tuple[str, list[str]]:
    """Make a run with some metrics and a model with two versions; return the run's id."""
    tracking = tracking_service_pb2_grpc.TrackingServiceStub(channel)
    registry = registry_service_pb2_grpc.RegistryServiceStub(channel)
    run_id = tracking.CreateRun(tracking_pb2.CreateRunRequest(experiment_id="0")).run.info.run_id
    tracking.LogBatch(
        tracking_pb2.LogBatchRequest(
            run_id=run_id,
            metrics=[tracking_pb2.Metric(key=f"m{i}", value=i, timestamp=1) for i in range(10)],
            params=[tracking_pb2.Param(key=f"p{i}", value="v") for i in range(10)],
        )
    )
    seal_source(channel, run_id)
    registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name="iris"))
    source = f"runs:/{run_id}/model"
    request = registry_pb2.CreateModelVersionRequest(name="iris", source=source)
    versions = [registry.CreateModelVersion(request).model_version.version for _ in range(2)]
    registry.TransitionModelVersionStage(transition(versions[0]))
    return run_id, versions


def seal_source(channel: grpc.Channel, run_id: str) -> None:
    """Put one small file below `model` in the run's tree."""
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
        put = urllib.request.Request(  # noqa: S310 - an URL of our own server
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


def main(rounds: int = 500) -> None:
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("spawn")
        parent, child = context.Pipe()
        floors = context.Process(target=floor_server, args=(folder, child), daemon=True)
        floors.start()
        floor = grpc.insecure_channel(f"127.0.0.1:{parent.recv()}")
        empty: Any = floor.unary_unary("/floor/Empty")
        commit: Any = floor.unary_unary("/floor/Commit")
        platform, addresses = start_platform(Path(folder) / "home")
        channel = grpc.insecure_channel(addresses["grpc"])
        run_id, versions = prepare(channel)
        tracking = tracking_service_pb2_grpc.TrackingServiceStub(channel)
        registry = registry_service_pb2_grpc.RegistryServiceStub(channel)
        steps = iter(range(10**9))
        print(f"{'median of ' + str(rounds):<28}{'ms':>9}{'floor':>9}{'ratio':>8}")

        def log_metric() -> None:
            step = next(steps)
            tracking.LogMetric(
                tracking_pb2.LogMetricRequest(
                    run_id=run_id, key="loss", value=0.5, timestamp=1, step=step
                )
            )

        def get_run() -> None:
            tracking.GetRun(tracking_pb2.GetRunRequest(run_id=run_id))

        def promote() -> None:
            registry.TransitionModelVersionStage(transition(versions[next(steps) % 2]))

        def resolve() -> None:
            uri = "models:/iris/Production"
            registry.ResolveModel(registry_pb2.ResolveModelRequest(uri=uri))

        try:
            compare("log_metric / commit", log_metric, lambda: commit(b"x"), rounds)
            compare("transition / commit", promote, lambda: commit(b"x"), rounds)
            compare("get_run / empty call", get_run, lambda: empty(b"x"), rounds)
            compare("resolve / empty call", resolve, lambda: empty(b"x"), rounds)
        finally:
            platform.send_signal(signal.SIGTERM)
            platform.wait()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
