"""How often a hot call waits for PostgreSQL, counted on the wire by libpq's own trace.

Each is a process switch here and half a millisecond or more in a data centre: a number that grows
is a regression, one that falls is written down.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from psycopg.pq.abc import PGconn
from sqlalchemy import Engine, event
from tests.support.platforms.registry_service import SOURCE, Registry, running_registry
from tests.support.platforms.tracking_service import Tracking, file_message, tracking_at

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.registry.v1 import registry_pb2 as registry_pb
from modelyard.api.tracking.v1 import tracking_pb2 as pb

pytestmark = pytest.mark.postgres

Calls = dict[str, Callable[[], object]]


class Wire:
    """What the connections of this process hear from PostgreSQL."""

    def __init__(self, trace: int) -> None:
        self._trace = trace
        self._connections: list[PGconn] = []

    def add(self, connection: Any, _record: Any) -> None:
        connection.prepare_threshold = None  # or a statement's sixth time would be another number
        self._connections.append(connection.pgconn)

    def round_trips(self, call: Callable[[], object]) -> int:
        call()  # opens connections
        start = os.fstat(self._trace).st_size
        for connection in self._connections:
            connection.trace(self._trace)
        call()
        for connection in self._connections:
            connection.untrace()  # writes what is left
        end = os.fstat(self._trace).st_size
        return os.pread(self._trace, end - start, start).count(b"ReadyForQuery")

    def counted(self, calls: Calls) -> dict[str, int]:
        return {name: self.round_trips(call) for name, call in calls.items()}


@pytest.fixture
def wire() -> Iterator[Wire]:
    with tempfile.TemporaryFile() as trace:
        listening = Wire(trace.fileno())
        event.listen(Engine, "connect", listening.add)
        yield listening
        event.remove(Engine, "connect", listening.add)


def test_round_trips_of_tracking(tmp_path: Path, wire: Wire) -> None:
    with tracking_at(tmp_path, "postgresql") as tracking:
        assert wire.counted(tracking_calls(tracking)) == {
            "LogMetric": 3,
            "LogBatch": 4,
            "SetTag": 2,
            "CreateRun": 2,
            "CreateRun with a key": 3,
            "GetRun": 1,
            "SearchRuns": 3,
            "UpdateRun": 2,
            "GetArtifacts": 5,
            "CommitArtifacts": 8,
        }


def tracking_calls(tracking: Tracking) -> Calls:
    run_id, rpc, new = tracking.create_run(), tracking.rpc, count()
    tracking.log_files({"model/MLmodel": b"x"}, run_id=run_id)

    def log_batch() -> None:
        step = next(new)
        metrics = [pb.Metric(key=f"m{i}", value=i, timestamp=1, step=step) for i in range(10)]
        params = [pb.Param(key=f"p{step}.{i}", value="v") for i in range(10)]
        tags = [pb.RunTag(key=f"t{step}", value="v")]
        rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, metrics=metrics, params=params, tags=tags))

    return {
        "LogMetric": lambda: rpc.LogMetric(
            pb.LogMetricRequest(run_id=run_id, key="m", value=1, timestamp=1, step=next(new))
        ),
        "LogBatch": log_batch,
        "SetTag": lambda: rpc.SetTag(pb.SetTagRequest(run_id=run_id, key="t", value="v")),
        "CreateRun": tracking.create_run,
        "CreateRun with a key": lambda: rpc.CreateRun(
            pb.CreateRunRequest(experiment_id="0"), metadata=[("idempotency-key", f"k{next(new)}")]
        ),
        "GetRun": lambda: tracking.get_run(run_id),
        "SearchRuns": lambda: rpc.SearchRuns(pb.SearchRunsRequest(experiment_ids=["0"])),
        "UpdateRun": lambda: rpc.UpdateRun(
            pb.UpdateRunRequest(run_id=run_id, status=pb.FINISHED, end_time=next(new))
        ),
        "GetArtifacts": lambda: tracking.artifacts.GetArtifacts(
            artifacts.GetArtifactsRequest(run_id=run_id, path="model")
        ),
        "CommitArtifacts": lambda: tracking.artifacts.CommitArtifacts(
            artifacts.CommitArtifactsRequest(
                run_id=run_id, files=[file_message(f"{next(new)}", b"x")]
            )
        ),
    }


def test_round_trips_of_the_registry(tmp_path: Path, wire: Wire) -> None:
    with running_registry(tmp_path, "postgresql") as registry:
        assert wire.counted(registry_calls(registry)) == {
            "CreateModelVersion": 3,
            "CreateModelVersion with a key": 5,
            "TransitionModelVersionStage": 3,
            "GetModelVersion": 1,
            "GetModelVersionByAlias": 1,
            "GetLatestVersions": 2,
            "SearchModelVersions": 4,
            "ResolveModel": 1,
        }


def registry_calls(registry: Registry) -> Calls:
    registry.create_model()
    versions, new = [registry.create_version().version for _ in range(2)], count()
    registry.set_alias("champion", versions[0])

    def transition() -> None:
        registry.time.ms += 1
        registry.move(versions[next(new) % 2], "Production")

    def resolve() -> None:
        uri = "models:/iris/Production"
        registry.call("ResolveModel", registry_pb.ResolveModelRequest(uri=uri))

    def get_latest() -> None:
        request = registry_pb.GetLatestVersionsRequest(name="iris")
        registry.call("GetLatestVersions", request)

    def create_with_key() -> None:
        request = registry_pb.CreateModelVersionRequest(name="iris", source=SOURCE)
        registry.call("CreateModelVersion", request, idempotency_key=f"k{next(new)}")

    return {
        "CreateModelVersion": registry.create_version,
        "CreateModelVersion with a key": create_with_key,
        "TransitionModelVersionStage": transition,
        "GetModelVersion": lambda: registry.get_version(versions[0]),
        "GetModelVersionByAlias": lambda: registry.get_version("champion"),
        "GetLatestVersions": get_latest,
        "SearchModelVersions": lambda: registry.search("name = 'iris'"),
        "ResolveModel": resolve,
    }
