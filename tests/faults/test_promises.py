"""Eight client processes and an observer, while `modelyard up` is killed again and again.

MODELYARD_SOAK=1 kills it forty times instead of four.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from faults.checkers import (
    Done,
    Event,
    Holders,
    Version,
    lost_writes,
    repeated_effects,
    wrong_events,
    wrong_holders,
    wrong_numbers,
)
from faults.client import METRIC, MOVED, PROMOTED, VERSIONS_AT_START
from up_process import environment, up

from modelyard.api.registry.v1 import registry_pb2, registry_service_pb2_grpc
from modelyard.api.tracking.v1 import tracking_pb2, tracking_service_pb2_grpc

CLIENTS = 8
KILLS = 40 if os.environ.get("MODELYARD_SOAK") else 4
CALLS_BETWEEN_KILLS = 150
FOLDER = Path(__file__).parent
CHANGES = {"create_model", "create_version", "transition", "rollback"}


@dataclass(frozen=True)
class Record:
    """What the clients were told, what the observer saw, and what was read back at the end."""

    done: Sequence[Done]
    seen: Sequence[Holders]
    versions: dict[str, list[Version]]
    events: dict[str, list[Event]]
    verified: dict[str, int]
    runs: list[str]
    points: list[str]

    def of(self, kind: str, model: str = "") -> list[Done]:
        return [item for item in self.done if item.kind == kind and item.model == model]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("faults")
    home, records = folder / "home", folder / "records"
    records.mkdir()
    with up(home) as running:
        socket = running.instance["socket"]
        done = _prepare(socket)
    with ExitStack() as processes:
        clients = [
            processes.enter_context(
                _script("client", socket, records / f"client-{seed}", str(seed))
            )
            for seed in range(CLIENTS)
        ]
        observer = processes.enter_context(_script("observer", socket, records / "observer"))
        for _ in range(KILLS):
            with up(home):  # killed at the end of the block
                _wait_for_calls(records, CALLS_BETWEEN_KILLS, clients)
        with up(home):  # also killed, right after the last answers
            for client in clients:
                _end(client)
        _end(observer)
    for path in sorted(records.glob("client-*")):
        done += [Done(**json.loads(line)) for line in path.read_text().splitlines()]
    lines = (records / "observer").read_text().splitlines()
    seen = [Holders(**json.loads(line)) for line in lines]
    with up(home):
        return _read_back(socket, done, seen)


def _prepare(socket: str) -> list[Done]:
    """Make both models with some versions, the first of one in Production."""
    done: list[Done] = []
    with grpc.insecure_channel(socket) as channel:
        stub = registry_service_pb2_grpc.RegistryServiceStub(channel)

        def do(kind: str, model: str, rpc: Callable[..., Any], request: Any) -> None:
            name = f"start-{len(done)}"
            if kind == "create_version":
                request.description = name
            started_s = time.monotonic()
            reply = rpc(request, timeout=30)
            number = int(reply.model_version.version) if kind == "create_version" else 0
            done.append(Done(name, kind, model, started_s, time.monotonic(), [""], number))

        for model in (PROMOTED, MOVED):
            create = registry_pb2.CreateRegisteredModelRequest(name=model)
            do("create_model", model, stub.CreateRegisteredModel, create)
            for _ in range(VERSIONS_AT_START):
                version = registry_pb2.CreateModelVersionRequest(name=model, source="s3://x/y")
                do("create_version", model, stub.CreateModelVersion, version)
        promote = registry_pb2.TransitionModelVersionStageRequest(
            name=PROMOTED, version="1", stage="Production"
        )
        do("transition", PROMOTED, stub.TransitionModelVersionStage, promote)
    return done


@contextmanager
def _script(name: str, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    paths = os.pathsep.join([str(FOLDER.parent), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, FOLDER / f"{name}.py", *arguments],
        stdin=subprocess.PIPE,
        env=environment(PYTHONPATH=paths, GRPC_VERBOSITY="NONE"),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _wait_for_calls(records: Path, count: int, clients: Sequence[subprocess.Popen[bytes]]) -> None:
    """Return when so many more calls have been answered."""
    target = _answered(records) + count
    while _answered(records) < target:
        assert [client.poll() for client in clients] == [None] * CLIENTS
        time.sleep(0.01)  # files of other processes offer no event


def _answered(records: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in records.glob("client-*"))


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0


def _read_back(socket: str, done: list[Done], seen: list[Holders]) -> Record:
    with grpc.insecure_channel(socket) as channel:
        registry = registry_service_pb2_grpc.RegistryServiceStub(channel)
        tracking = tracking_service_pb2_grpc.TrackingServiceStub(channel)
        models = (PROMOTED, MOVED)
        runs = tracking.SearchRuns(
            tracking_pb2.SearchRunsRequest(experiment_ids=["0"], max_results=1000)
        ).runs
        return Record(
            done=done,
            seen=seen,
            versions={model: _versions(registry, model) for model in models},
            events={model: _events(registry, model) for model in models},
            verified={
                model: registry.VerifyHistory(
                    registry_pb2.VerifyHistoryRequest(name=model)
                ).revision
                for model in models
            },
            runs=[run.info.run_name for run in runs],
            points=[point for run in runs for point in _points(tracking, run.info.run_id)],
        )


def _versions(stub: registry_service_pb2_grpc.RegistryServiceStub, model: str) -> list[Version]:
    request = registry_pb2.SearchModelVersionsRequest(filter=f"name='{model}'", max_results=10_000)
    reply = stub.SearchModelVersions(request)
    assert not reply.next_page_token
    return [
        Version(int(item.version), item.description, item.current_stage)
        for item in reply.model_versions
    ]


def _events(stub: registry_service_pb2_grpc.RegistryServiceStub, model: str) -> list[Event]:
    events: list[Event] = []
    token = ""
    while True:
        request = registry_pb2.ListModelEventsRequest(name=model, page_token=token)
        reply = stub.ListModelEvents(request)
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


def _points(stub: tracking_service_pb2_grpc.TrackingServiceStub, run_id: str) -> list[str]:
    request = tracking_pb2.GetMetricHistoryRequest(
        run_id=run_id, metric_key=METRIC, max_results=25_000
    )
    return [f"{run_id}/{point.step}" for point in stub.GetMetricHistory(request).metrics]


def test_the_clients_did_enough_to_prove_something(record: Record) -> None:
    kinds = {(item.kind, item.model) for item in record.done}

    assert len(record.done) >= KILLS * CALLS_BETWEEN_KILLS
    assert kinds >= {(kind, MOVED) for kind in CHANGES} | {("log_metric", "")}
    assert len(record.seen) > 100


def test_an_acknowledged_version_survives_being_killed(record: Record) -> None:
    created = [item.call for item in record.of("create_version", MOVED)]
    found = [version.made_by for version in record.versions[MOVED]]

    assert lost_writes(created, found) == []


def test_acknowledged_runs_and_metrics_survive_being_killed(record: Record) -> None:
    assert lost_writes([item.call for item in record.of("create_run")], record.runs) == []
    assert lost_writes([item.call for item in record.of("log_metric")], record.points) == []


def test_a_call_sent_again_has_one_effect_and_one_answer(record: Record) -> None:
    made = [version.made_by for versions in record.versions.values() for version in versions]
    effects = [*made, *record.runs, *record.points]

    assert any(len(item.replies) > 1 for item in record.done)
    assert repeated_effects(record.done, effects) == []


@pytest.mark.parametrize("model", [PROMOTED, MOVED])
def test_version_numbers_are_dense_and_in_order(record: Record, model: str) -> None:
    assert wrong_numbers(record.of("create_version", model), record.versions[model]) == []


def test_nobody_ever_saw_two_holders_nor_a_gap(record: Record) -> None:
    assert wrong_holders(record.seen, {PROMOTED: "Production"}) == []


@pytest.mark.parametrize("model", [PROMOTED, MOVED])
def test_the_events_are_the_changes_and_give_the_tables(record: Record, model: str) -> None:
    changes = [item for item in record.done if item.model == model]
    table = {
        "versions": {
            str(version.number): {"stage": version.stage, "description": version.made_by}
            for version in record.versions[model]
        }
    }

    assert wrong_events(record.events[model], changes, table) == []
    assert record.verified[model] == len(record.events[model])
