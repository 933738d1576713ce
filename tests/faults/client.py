"""One client process: makes random calls until it is stopped, and records them.

    python client.py DOORS RECORD SEED PROGRESS

DOORS is JSON, `host:port` by service; PROGRESS is a pipe that gets a byte for each call that ended.
Each line on standard input names the round and its run; it stops when its standard input closes.
Most calls are sent until they are answered, under one idempotency key; the others once, without
one, and then its outcome may be unknown. Each call is one line of JSON in RECORD.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import select
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
from tests.faults.doors import INDEFINITE, HttpDoor, connect, registry_stub, tracking_stub

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2

MOVED = "moved"
"""The model whose versions go anywhere, the same in all rounds."""

VERSIONS_AT_START = 6
METRIC = "steps"
ONE_VERSION = "1"
_SOURCE = "s3://elsewhere/model"
_STAGES = ("None", "Staging", "Production", "Archived")
_EVERY_FOURTH_BY_HTTP = 4
_TIMEOUT_S = 4.0
_PATIENCE_S = 60.0
_SENT_ONCE = 0.2
_RESENT = 0.15


def held(round_: str) -> str:
    """The model of a round that only gets versions, promotions and roll-backs."""
    return f"held-{round_}"


def edited(round_: str) -> str:
    """The model of a round whose first version's description is edited."""
    return f"edited-{round_}"


class Client:
    def __init__(self, doors: dict[str, str], record: Path, seed: int, progress: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a workload, not a secret
        self.seed = seed
        self._open = ExitStack()
        if seed % _EVERY_FOURTH_BY_HTTP == 0:
            self.registry: Any = HttpDoor(doors["gateway"])
            self.tracking: Any = self.registry
        else:
            self.registry = registry_stub(self._open.enter_context(connect(doors["registry"])))
            self.tracking = tracking_stub(self._open.enter_context(connect(doors["tracking"])))
        self.record = self._open.enter_context(record.open("w", buffering=1))
        self.progress = progress
        os.set_blocking(progress, False)
        self.patience_s = _PATIENCE_S
        """Seconds for which it repeats a call without a definite reply."""
        self.gave_up = False
        self.resent = _RESENT
        """Of the calls that were acknowledged, how many are sent once more."""
        self.outcome = ""
        """Of the last call."""
        self.calls = 0
        self.steps = 0
        self.round = self.run_id = ""
        self.holder = 1
        self.etag = ""

    def close(self) -> None:
        self._open.close()

    def work_until_stdin_closes(self) -> None:
        works = (
            *(self.log_metric, self.log_metric, self.read_metric, self.create_run),
            *(self.create_version, self.promote, self.promote, self.read_holder, self.roll_back),
            *(self.move, self.move, self.edit, self.edit, self.read_text),
        )
        while self.is_told_to_go_on():
            self.random.choice(works)()

    def is_told_to_go_on(self) -> bool:
        """Read messages of the parent, if any; wait for the first round."""
        while not self.round or select.select([0], [], [], 0)[0]:
            message = os.read(0, 4096).decode()
            if not message:
                return False
            self.round, self.run_id = message.splitlines()[-1].split()
            self.etag = ""
        return True

    def create_run(self) -> None:
        request = tracking_pb2.CreateRunRequest(
            experiment_id="0", run_name=self.next_name(), start_time=1
        )
        self.do("create_run", self.tracking.CreateRun, request)

    def log_metric(self) -> None:
        """One point, or two in a batch, of a curve that all clients extend."""
        steps = [self.next_step() for _ in range(self.random.choice([1, 1, 2]))]
        metrics = [tracking_pb2.Metric(key=METRIC, value=s, timestamp=1, step=s) for s in steps]
        request = tracking_pb2.LogBatchRequest(run_id=self.run_id, metrics=metrics)
        self.next_name()
        self.do("add", self.tracking.LogBatch, request, self.run_id, asked=steps)

    def read_metric(self) -> None:
        request = tracking_pb2.GetMetricHistoryRequest(
            run_id=self.run_id, metric_key=METRIC, max_results=25_000
        )
        self.read(
            "read_points",
            self.tracking.GetMetricHistory,
            request,
            self.run_id,
            lambda reply: [point.step for point in reply.metrics],
        )

    def create_version(self) -> None:
        self.create_version_of(self.random.choice([MOVED, held(self.round)]))

    def create_held_version(self) -> None:
        self.create_version_of(held(self.round))

    def create_version_of(self, model: str) -> None:
        request = registry_pb2.CreateModelVersionRequest(
            name=model, source=_SOURCE, description=self.next_name()
        )
        rpc = self.registry.CreateModelVersion
        self.do("create_version", rpc, request, model, returned=_number)

    def promote(self) -> None:
        version = self.random.randint(1, VERSIONS_AT_START)
        expected = self.holder if self.random.random() < 0.4 else None
        request = registry_pb2.TransitionModelVersionStageRequest(
            name=held(self.round),
            version=str(version),
            stage="Production",
            archive_existing_versions=self.random.random() < 0.5,
            expected_holder=None if expected is None else str(expected),
        )
        self.next_name()
        rpc = self.registry.TransitionModelVersionStage
        self.do("promote", rpc, request, request.name, asked=[version, expected])

    def roll_back(self) -> None:
        request = registry_pb2.RollbackStageRequest(name=held(self.round), stage="Production")
        self.next_name()
        rpc = self.registry.RollbackStage
        self.do("roll_back", rpc, request, request.name, returned=_number)

    def read_holder(self) -> None:
        request = registry_pb2.GetModelVersionRequest(name=held(self.round), version="Production")
        seen = self.read(
            "read_holder", self.registry.GetModelVersion, request, request.name, _number
        )
        self.holder = seen or self.holder

    def move(self) -> None:
        request = registry_pb2.TransitionModelVersionStageRequest(
            name=MOVED,
            version=str(self.random.randint(1, VERSIONS_AT_START)),
            stage=self.random.choice(_STAGES),
        )
        self.next_name()
        self.do("move", self.registry.TransitionModelVersionStage, request, MOVED)

    def edit(self) -> None:
        text = self.next_name()
        expected = self.etag if self.random.random() < 0.7 else ""
        request = registry_pb2.UpdateModelVersionRequest(
            name=edited(self.round), version=ONE_VERSION, description=text, etag=expected
        )
        rpc = self.registry.UpdateModelVersion
        asked = [text, int(expected) if expected else None]
        done = self.do("edit", rpc, request, request.name, asked=asked, returned=_etag)
        self.etag = str(done or "")

    def read_text(self) -> None:
        request = registry_pb2.GetModelVersionRequest(name=edited(self.round), version=ONE_VERSION)
        seen = self.read("read_text", self.registry.GetModelVersion, request, request.name, _text)
        self.etag = str(seen[0]) if seen else self.etag

    def next_name(self) -> str:
        self.calls += 1
        return self.name

    @property
    def name(self) -> str:
        return f"c{self.seed}-{self.calls}"

    def next_step(self) -> int:
        self.steps += 1
        return self.seed * 1_000_000 + self.steps

    def read(
        self, kind: str, rpc: Any, request: Any, model: str, returned: Callable[[Any], Any]
    ) -> Any:
        """Read once; the reply of a read that failed does not matter."""
        self.next_name()
        return self.do(kind, rpc, request, model, returned=returned, is_read=True)

    def do(
        self,
        kind: str,
        rpc: Any,
        request: Any,
        model: str = "",
        *,
        asked: Any = (),
        returned: Callable[[Any], Any] = lambda _: None,
        is_read: bool = False,
    ) -> Any:
        """Send, once or until it is answered, now and then once more; record what became of it."""
        insists = not is_read and self.random.random() >= _SENT_ONCE
        metadata = [("x-request-id", self.name)]
        if insists:
            metadata.append(("idempotency-key", self.name))
        started_s = time.monotonic()
        reply, failures = self.send(rpc, request, metadata, insists=insists)
        known = reply is not None or all(code not in _UNKNOWN for code, _ in failures)
        done: dict[str, Any] = {"call": self.name, "kind": kind, "model": model, "asked": asked}
        done |= {"started_s": started_s, "ended_s": time.monotonic() if known else None}
        self.outcome = "ok" if reply is not None else "no" if known else "unknown"
        done |= {"outcome": self.outcome, "failures": failures, "replies": [], "returned": None}
        if reply is not None:
            done |= {"replies": [_digest(reply)], "returned": returned(reply)}
            if insists and self.random.random() < self.resent:
                again, failures_again = self.send(rpc, request, metadata, insists=True)
                done["replies"].append("nothing" if again is None else _digest(again))
                done["failures"] += failures_again
        self.record.write(json.dumps(done) + "\n")
        with suppress(BlockingIOError):  # no reader at the moment
            os.write(self.progress, b".")
        return done["returned"]

    def send(
        self, rpc: Any, request: Any, metadata: list[tuple[str, str]], *, insists: bool
    ) -> tuple[Any, list[tuple[str, str]]]:
        """The reply, or None for a refusal; and the code and words of each failure on the way."""
        failures = []
        deadline_s = time.monotonic() + self.patience_s
        while True:
            try:
                reply = rpc(request, timeout=_TIMEOUT_S, metadata=metadata, wait_for_ready=True)
            except grpc.RpcError as error:
                failures.append((error.code().name, str(error.details())))
                if error.code() in INDEFINITE:
                    time.sleep(0.02)  # there is no signal for the restart of a killed server
                if error.code() not in INDEFINITE or not insists:
                    return None, failures
                if time.monotonic() > deadline_s:
                    self.gave_up = True
                    return None, failures
            else:
                return reply, failures


_UNKNOWN = {code.name for code in INDEFINITE}


def _number(reply: Any) -> int:
    return int(reply.model_version.version)


def _etag(reply: Any) -> int:
    return int(reply.model_version.etag)


def _text(reply: Any) -> tuple[int, str]:
    return int(reply.model_version.etag), reply.model_version.description


def _digest(reply: Any) -> str:
    return hashlib.sha256(reply.SerializeToString(deterministic=True)).hexdigest()


if __name__ == "__main__":
    doors, record, seed, progress = sys.argv[1:]
    Client(json.loads(doors), Path(record), int(seed), int(progress)).work_until_stdin_closes()
