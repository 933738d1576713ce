"""One client process: does things at random until it is told to stop, and records them.

    python client.py SOCKET RECORD SEED

A call that fails without a definite answer is sent again under its idempotency key until it gets
one. Each answered call is one line of JSON in RECORD. It stops when its standard input closes.
"""

from __future__ import annotations

import hashlib
import json
import random
import select
import sys
import time
from pathlib import Path
from typing import Any

import grpc

from modelyard.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from modelyard.api.tracking.v1 import tracking_pb2, tracking_service_pb2_grpc

PROMOTED = "promoted"
"""A model that only ever gets promotions and rollbacks: Production is never empty."""

MOVED = "moved"
"""A model whose versions go anywhere."""

VERSIONS_AT_START = 6
METRIC = "steps"
_STAGES = ("None", "Staging", "Production", "Archived")
_INDEFINITE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
_TIMEOUT_S = 5.0
_RESENT = 0.2
_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
]


class Client:
    def __init__(self, socket: str, record: Path, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a workload, not a secret
        self.seed = seed
        channel = grpc.insecure_channel(socket, options=_OPTIONS)
        self.registry = registry_service_pb2_grpc.RegistryServiceStub(channel)
        self.tracking = tracking_service_pb2_grpc.TrackingServiceStub(channel)
        self.record = record.open("w", buffering=1)
        self.calls = 0
        self.run_id = ""
        self.step = 0

    def work_until_stdin_closes(self) -> None:
        name = f"{self.seed}-run"
        reply = self.do("create_run", self.tracking.CreateRun, _run(name), name=name)
        self.run_id = reply.run.info.run_id
        works = (self.log_metric, self.create_version, self.promote, self.move, self.roll_back)
        while not select.select([sys.stdin], [], [], 0)[0]:
            self.random.choice(works)()

    def log_metric(self) -> None:
        self.step += 1
        request = tracking_pb2.LogMetricRequest(
            run_id=self.run_id, key=METRIC, value=self.step, timestamp=1, step=self.step
        )
        name = f"{self.run_id}/{self.step}"
        self.do("log_metric", self.tracking.LogMetric, request, name=name)

    def create_version(self) -> None:
        name = self.next_name()
        request = registry_pb2.CreateModelVersionRequest(
            name=MOVED, source="s3://elsewhere/model", description=name
        )
        create = self.registry.CreateModelVersion
        self.do("create_version", create, request, name=name, model=MOVED)

    def promote(self) -> None:
        self.transition(PROMOTED, "Production")

    def move(self) -> None:
        self.transition(MOVED, self.random.choice(_STAGES))

    def transition(self, model: str, stage: str) -> None:
        request = registry_pb2.TransitionModelVersionStageRequest(
            name=model,
            version=str(self.random.randint(1, VERSIONS_AT_START)),
            stage=stage,
            archive_existing_versions=stage == "Production" and self.random.random() < 0.5,
        )
        move = self.registry.TransitionModelVersionStage
        self.do("transition", move, request, name=self.next_name(), model=model)

    def roll_back(self) -> None:
        model = self.random.choice([PROMOTED, MOVED])
        request = registry_pb2.RollbackStageRequest(name=model, stage="Production")
        self.do(
            "rollback", self.registry.RollbackStage, request, name=self.next_name(), model=model
        )

    def next_name(self) -> str:
        self.calls += 1
        return f"{self.seed}-{self.calls}"

    def do(self, kind: str, rpc: Any, request: Any, *, name: str, model: str = "") -> Any:
        """Send until it is answered, now and then once more; record what was acknowledged."""
        started_s = time.monotonic()
        reply = self.send(rpc, request, name)
        ended_s = time.monotonic()
        if reply is None:
            return None
        replies = [_digest(reply)]
        if self.random.random() < _RESENT:
            replies.append(_digest(self.send(rpc, request, name)))
        done: dict[str, Any] = {"call": name, "kind": kind, "model": model}
        done |= {"started_s": started_s, "ended_s": ended_s, "replies": replies}
        if kind == "create_version":
            done["number"] = int(reply.model_version.version)
        self.record.write(json.dumps(done) + "\n")
        return reply

    def send(self, rpc: Any, request: Any, key: str) -> Any:
        """The reply, or None for a definite refusal that the workload provokes."""
        while True:
            try:
                return rpc(request, timeout=_TIMEOUT_S, metadata=[("idempotency-key", key)])
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.FAILED_PRECONDITION:
                    return None
                if error.code() not in _INDEFINITE:
                    raise
                time.sleep(0.02)  # nothing tells when a killed server is back


def _run(name: str) -> tracking_pb2.CreateRunRequest:
    return tracking_pb2.CreateRunRequest(experiment_id="0", run_name=name, start_time=1)


def _digest(reply: Any) -> str:
    return hashlib.sha256(reply.SerializeToString(deterministic=True)).hexdigest()


if __name__ == "__main__":
    Client(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])).work_until_stdin_closes()
