"""Rounds of clients at work while one fault happens, and what can be read when it is over."""

from __future__ import annotations

import json
import math
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeAlias

import grpc
from tests.faults.checkers import Done, Event, Holders, Version
from tests.faults.client import METRIC, MOVED, ONE_VERSION, VERSIONS_AT_START, edited, held
from tests.faults.deployment import Deployment
from tests.faults.doors import connect, registry_stub, tracking_stub
from tests.support.processes.up_process import environment

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2

_FOLDER = Path(__file__).parent
_TIMEOUT_S = 30
_NO_PROGRESS_S = 60

Fault: TypeAlias = Callable[[Deployment, "Progress", random.Random], None]
"""Breaks something, and mends it; clients are at work meanwhile."""


@dataclass
class Record:
    """Replies to clients and observers, and the state read back at the end.

    Attributes:
        done: All calls.
        seen: Replies to the observer.
        watched: Received events by watcher: model, position and hash.
        versions: Versions by model.
        events: Events by model, oldest first.
        verified: Last verified revision by model.
        runs: Names of all runs.
        points: Steps of the metric by run.
    """

    done: list[Done] = field(default_factory=list)
    seen: list[Holders] = field(default_factory=list)
    watched: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    versions: dict[str, list[Version]] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    verified: dict[str, int] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    points: dict[str, list[int]] = field(default_factory=dict)

    def of(self, kind: str, model: str = "") -> list[Done]:
        return [item for item in self.done if item.kind == kind and item.model == model]

    def acknowledged(self, kind: str, model: str = "") -> list[Done]:
        return [item for item in self.of(kind, model) if item.is_ok]


class Progress:
    """Counts the calls of all clients as they end.

    Args:
        clients: Which must all be alive meanwhile.
    """

    def __init__(self, clients: list[subprocess.Popen[bytes]]) -> None:
        self._clients = clients
        self.reader, self.writer = os.pipe()

    def wait(self, calls: int) -> None:
        """Return when so many more calls have ended."""
        while calls > 0:
            ready = select.select([self.reader], [], [], _NO_PROGRESS_S)[0]
            assert ready, f"no call ended within {_NO_PROGRESS_S} s"
            assert all(client.poll() is None for client in self._clients), "a client ended"
            calls -= len(os.read(self.reader, calls))

    def forget(self) -> None:
        """Start to count anew."""
        while select.select([self.reader], [], [], 0)[0]:
            os.read(self.reader, 65_536)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


def run(
    deployment: Deployment,
    folder: Path,
    faults: Sequence[Fault],
    *,
    clients: int,
    calls: int,
    seed: int,
) -> Record:
    """Run a round for each fault.

    Args:
        deployment: Fresh.
        folder: Gets the records of the processes.
        faults: One a round.
        clients: How many processes.
        calls: How many of them end before, and again after, the fault of a round.
        seed: Of all that is random.
    """
    chance = random.Random(seed)  # noqa: S311 - faults, not secrets
    record = Record()
    doors = json.dumps(deployment.doors())
    working: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        progress = Progress(working)
        stack.callback(progress.close)
        observer = stack.enter_context(_script("observer", doors, folder, str(seed)))
        prepare_moved(deployment, record)
        rounds = {
            str(number): prepare_run(deployment, str(number)) for number in range(len(faults))
        }
        for round_ in rounds:
            prepare_models(deployment, record, round_)
        for number in range(clients):
            arguments = (doors, folder / f"client-{number}", str(seed * 100 + number))
            working.append(stack.enter_context(_script("client", *arguments, pipe=progress.writer)))
        for number, fault in enumerate(faults):
            for process in (observer, *working):
                _say(process, f"{number} {rounds[str(number)]}")
            progress.forget()
            progress.wait(calls)
            fault(deployment, progress, chance)
            progress.wait(calls)
        _end(*working)
        _read_back(deployment, record, rounds)
        _say(observer, f"until {_clock(deployment)} {record.verified[MOVED]}")
        _end(observer)
    _collect(folder, record)
    return record


@contextmanager
def _script(
    name: str, *arguments: str | Path, pipe: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    paths = os.pathsep.join([str(_FOLDER.parents[1]), os.environ.get("PYTHONPATH", "")])
    pipes = () if pipe is None else (pipe,)
    process = subprocess.Popen(
        [sys.executable, _FOLDER / f"{name}.py", *arguments, *map(str, pipes)],
        stdin=subprocess.PIPE,
        pass_fds=pipes,
        env=environment(PYTHONPATH=paths, GRPC_VERBOSITY="NONE"),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _say(process: subprocess.Popen[bytes], words: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{words}\n".encode())
    process.stdin.flush()


def _end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(_NO_PROGRESS_S) for process in processes] == [0] * len(processes)


class Start:
    """Calls that lay the ground of a round, recorded like those of a client."""

    def __init__(self, deployment: Deployment, record: Record, name: str) -> None:
        self._channel = connect(deployment.targets["registry"])
        self._stub = registry_stub(self._channel)
        self._record = record
        self._name = name
        self._calls = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def model(self, name: str, versions: int) -> None:
        """Make a model and its first versions."""
        create = registry_pb2.CreateRegisteredModelRequest(name=name)
        self._do("create_model", name, "CreateRegisteredModel", create)
        for _ in range(versions):
            request = registry_pb2.CreateModelVersionRequest(
                name=name, source="s3://x/y", description=f"{self._name}-{self._calls}"
            )
            self._do("create_version", name, "CreateModelVersion", request)

    def promote(self, name: str) -> None:
        request = registry_pb2.TransitionModelVersionStageRequest(
            name=name, version=ONE_VERSION, stage="Production"
        )
        self._do("promote", name, "TransitionModelVersionStage", request)

    def _do(self, kind: str, model: str, rpc: str, request: Any) -> None:
        call = f"{self._name}-{self._calls}"
        self._calls += 1
        started_s = time.monotonic()
        reply = getattr(self._stub, rpc)(
            request, timeout=_TIMEOUT_S, wait_for_ready=True, metadata=[("x-request-id", call)]
        )
        returned = int(reply.model_version.version) if kind == "create_version" else None
        asked = (int(ONE_VERSION), None) if kind == "promote" else ()
        self._record.done.append(
            Done(call, kind, model, started_s, time.monotonic(), returned=returned, asked=asked)
        )


def prepare_moved(deployment: Deployment, record: Record) -> None:
    """Make the model of all rounds."""
    with Start(deployment, record, "start") as start:
        start.model(MOVED, VERSIONS_AT_START)


def prepare_models(deployment: Deployment, record: Record, round_: str) -> None:
    """Make the models of a round."""
    with Start(deployment, record, f"start-{round_}") as start:
        start.model(held(round_), VERSIONS_AT_START)
        start.promote(held(round_))
        start.model(edited(round_), 1)


def prepare_run(deployment: Deployment, round_: str) -> str:
    """Make the run of a round and return its id."""
    request = tracking_pb2.CreateRunRequest(experiment_id="0", run_name=f"round-{round_}")
    with connect(deployment.targets["tracking"]) as channel:
        reply = tracking_stub(channel).CreateRun(request, timeout=_TIMEOUT_S, wait_for_ready=True)
    return str(reply.run.info.run_id)


def _collect(folder: Path, record: Record) -> None:
    """Add what the other processes wrote."""
    collect_calls(folder, record)
    record.seen += [Holders(**line) for line in read_lines(folder / "observer")]
    for path in sorted(folder.glob("watcher-*")):
        record.watched[path.name] = read_lines(path)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return list(map(json.loads, path.read_text().splitlines()))


def collect_calls(folder: Path, record: Record) -> None:
    """Add the calls that clients recorded."""
    for path in sorted(folder.glob("client-*")):
        for item in read_lines(path):
            item["ended_s"] = math.inf if item["ended_s"] is None else item["ended_s"]
            item["failures"] = [tuple(pair) for pair in item["failures"]]
            record.done.append(Done(**item))


def _read_back(deployment: Deployment, record: Record, rounds: Mapping[str, str]) -> None:
    models = [MOVED, *(name(round_) for round_ in rounds for name in (held, edited))]
    read_registry(deployment, record, models)
    read_tracking(deployment, record, list(rounds.values()))


def read_registry(deployment: Deployment, record: Record, models: Sequence[str]) -> None:
    """Add what the registry says of some models."""
    with connect(deployment.targets["registry"]) as channel:
        registry = registry_stub(channel)
        for model in models:
            record.versions[model] = read_versions(registry, model)
            record.events[model] = read_events(registry, model)
            record.verified[model] = verified(registry, model)
            record.done += _last_reads(model, record.versions[model])


def read_tracking(deployment: Deployment, record: Record, runs: Sequence[str]) -> None:
    """Add what tracking says of some runs, and the names of all."""
    with connect(deployment.targets["tracking"]) as channel:
        tracking = tracking_stub(channel)
        record.runs = _read_runs(tracking)
        for run_id in runs:
            record.points[run_id] = read_points(tracking, run_id)
            record.done.append(_last("read_points", run_id, record.points[run_id]))


def verified(stub: Any, model: str) -> int:
    """Return up to which revision a model's history verifies; -1 if it does not."""
    request = registry_pb2.VerifyHistoryRequest(name=model)
    try:
        revision: int = stub.VerifyHistory(request, timeout=_TIMEOUT_S).revision
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.DATA_LOSS:
            raise
        return -1
    return revision


def _last_reads(model: str, versions: Sequence[Version]) -> list[Done]:
    """What is there when all is over, as one more thing that a client saw."""
    holders = [version.number for version in versions if version.stage == "Production"]
    return [_last("read_holder", model, holders[0] if holders else 0)]


def _last(kind: str, model: str, returned: Any) -> Done:
    now_s = time.monotonic()
    return Done("at the end", kind, model, now_s, now_s, returned=returned)


def _clock(deployment: Deployment) -> int:
    """Return the clock of all changes."""
    with connect(deployment.targets["registry"]) as channel:
        watch = registry_stub(channel).WatchModels(registry_pb2.WatchModelsRequest(after_clock=0))
        clock: int = next(watch).position
        watch.cancel()
        return clock


def read_versions(stub: Any, model: str) -> list[Version]:
    request = registry_pb2.SearchModelVersionsRequest(filter=f"name='{model}'", max_results=10_000)
    reply = stub.SearchModelVersions(request, timeout=_TIMEOUT_S)
    assert not reply.next_page_token
    return [
        Version(int(item.version), item.description, item.current_stage)
        for item in reply.model_versions
    ]


def read_events(stub: Any, model: str) -> list[Event]:
    events: list[Event] = []
    token = ""
    while True:
        request = registry_pb2.ListModelEventsRequest(name=model, page_token=token, page_size=1000)
        reply = stub.ListModelEvents(request, timeout=_TIMEOUT_S)
        events += [Event(_covered(item), item.hash) for item in reply.events]
        token = reply.next_page_token
        if not token:
            return events


def _covered(event: registry_pb2.ModelEvent) -> dict[str, Any]:
    as_they_are = ("name", "revision", "clock", "actor", "version", "before", "after", "comment")
    return {
        **{name: getattr(event, name) for name in as_they_are},
        "at_ms": event.create_time.ToMilliseconds(),
        "action": registry_pb2.ModelEvent.Action.Name(event.action),
        "request_id": event.request_id,
        "previous_hash": event.previous_hash,
    }


def _read_runs(stub: Any) -> list[str]:
    names: list[str] = []
    token = ""
    while True:
        request = tracking_pb2.SearchRunsRequest(
            experiment_ids=["0"], max_results=1000, page_token=token
        )
        reply = stub.SearchRuns(request, timeout=_TIMEOUT_S)
        names += [run.info.run_name for run in reply.runs]
        token = reply.next_page_token
        if not token:
            return names


def read_points(stub: Any, run_id: str) -> list[int]:
    request = tracking_pb2.GetMetricHistoryRequest(
        run_id=run_id, metric_key=METRIC, max_results=25_000
    )
    reply = stub.GetMetricHistory(request, timeout=_TIMEOUT_S)
    return [point.step for point in reply.metrics]
