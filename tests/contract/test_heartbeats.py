"""Heartbeats of runs, and the runs that are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.tracking.v1 import tracking_pb2 as pb

LOST_AFTER_MS = 120_000
LOST = "attributes.lost_since > 0"


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path_factory.mktemp("tracking"), dialect) as tracking:
        yield tracking


@pytest.fixture
def experiment_id(tracking: Tracking, request: pytest.FixtureRequest) -> str:
    created = tracking.rpc.CreateExperiment(pb.CreateExperimentRequest(name=request.node.name))
    return str(created.experiment_id)


def _beat(tracking: Tracking, run_id: str) -> None:
    tracking.rpc.SendHeartbeat(pb.SendHeartbeatRequest(run_id=run_id))


def _found(tracking: Tracking, experiment_id: str, text: str, *order_by: str) -> list[str]:
    request = pb.SearchRunsRequest(experiment_ids=[experiment_id], filter=text, order_by=order_by)
    return [run.info.run_id for run in tracking.rpc.SearchRuns(request).runs]


def _lost(tracking: Tracking, run_id: str) -> bool:
    return tracking.get_run(run_id).info.HasField("lost_since")


def test_a_run_without_heartbeats_is_never_lost(tracking: Tracking, experiment_id: str) -> None:
    run_id = tracking.create_run(experiment_id)
    tracking.rpc.SetTag(pb.SetTagRequest(run_id=run_id, key="k", value="v"))
    tracking.clock.ahead_ms += 10 * LOST_AFTER_MS
    info = tracking.get_run(run_id).info
    assert not info.HasField("last_heartbeat_time")
    assert not info.HasField("lost_since")
    assert _found(tracking, experiment_id, LOST) == []


def test_a_run_whose_heartbeats_end_is_lost_and_stays_running(
    tracking: Tracking, experiment_id: str
) -> None:
    run_id = tracking.create_run(experiment_id, heartbeats=True)
    before = tracking.get_run(run_id)
    tracking.clock.ahead_ms += LOST_AFTER_MS - 1000
    assert not _lost(tracking, run_id)
    _beat(tracking, run_id)
    tracking.clock.ahead_ms += LOST_AFTER_MS + 1000
    run = tracking.get_run(run_id)
    assert run.info.status == pb.RUNNING
    assert run.etag == before.etag
    heard_ms = run.info.last_heartbeat_time.ToMilliseconds()
    assert heard_ms > before.info.last_heartbeat_time.ToMilliseconds()
    assert run.info.lost_since.ToMilliseconds() == heard_ms + LOST_AFTER_MS
    run.info.ClearField("last_heartbeat_time")
    run.info.ClearField("lost_since")
    before.info.ClearField("last_heartbeat_time")
    assert run == before


WRITES: dict[str, Callable[[Tracking, str], object]] = {
    "metric": lambda to, run_id: to.rpc.LogMetric(
        pb.LogMetricRequest(run_id=run_id, key="m", value=1)
    ),
    "batch": lambda to, run_id: to.rpc.LogBatch(pb.LogBatchRequest(run_id=run_id)),
    "param": lambda to, run_id: to.rpc.LogParam(
        pb.LogParamRequest(run_id=run_id, key="p", value="1")
    ),
    "tag": lambda to, run_id: to.rpc.SetTag(pb.SetTagRequest(run_id=run_id, key="k", value="v")),
    "inputs": lambda to, run_id: to.rpc.LogInputs(pb.LogInputsRequest(run_id=run_id)),
    "name": lambda to, run_id: to.rpc.UpdateRun(pb.UpdateRunRequest(run_id=run_id, run_name="n")),
    "file": lambda to, run_id: to.log_files({"a.txt": b"a"}, run_id=run_id),
    "deletion of a file": lambda to, run_id: to.artifacts.DeleteArtifacts(
        artifacts.DeleteArtifactsRequest(run_id=run_id, path="kept.txt")
    ),
    "heartbeat": _beat,
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_run_that_is_written_to_is_no_longer_lost(
    tracking: Tracking, experiment_id: str, write: Callable[[Tracking, str], object]
) -> None:
    run_id = tracking.create_run(experiment_id, heartbeats=True)
    tracking.log_files({"kept.txt": b"kept"}, run_id=run_id)
    tracking.clock.ahead_ms += 2 * LOST_AFTER_MS
    assert _found(tracking, experiment_id, LOST) == [run_id]
    write(tracking, run_id)
    assert not _lost(tracking, run_id)
    assert _found(tracking, experiment_id, LOST) == []


@pytest.mark.parametrize("status", [pb.FINISHED, pb.FAILED, pb.KILLED, pb.SCHEDULED])
def test_a_run_that_does_not_run_is_not_lost(
    tracking: Tracking, experiment_id: str, status: pb.RunStatus
) -> None:
    run_id = tracking.create_run(experiment_id, heartbeats=True)
    tracking.rpc.UpdateRun(pb.UpdateRunRequest(run_id=run_id, status=status))
    heard = tracking.get_run(run_id).info.last_heartbeat_time
    tracking.clock.ahead_ms += 2 * LOST_AFTER_MS
    _beat(tracking, run_id)
    info = tracking.get_run(run_id).info
    assert info.last_heartbeat_time == heard
    assert not info.HasField("lost_since")
    assert _found(tracking, experiment_id, LOST) == []


@pytest.mark.parametrize("heartbeats", [True, False])
def test_a_run_that_is_resumed_has_the_heartbeats_of_its_new_process(
    tracking: Tracking,
    experiment_id: str,
    heartbeats: bool,  # noqa: FBT001
) -> None:
    run_id = tracking.create_run(experiment_id, heartbeats=True)
    tracking.rpc.UpdateRun(
        pb.UpdateRunRequest(run_id=run_id, status=pb.RUNNING, heartbeats=heartbeats)
    )
    tracking.clock.ahead_ms += 2 * LOST_AFTER_MS
    assert _lost(tracking, run_id) == heartbeats


def test_runs_are_searched_by_their_signs_of_life(tracking: Tracking, experiment_id: str) -> None:
    silent = tracking.create_run(experiment_id)
    early = tracking.create_run(experiment_id, heartbeats=True)
    tracking.clock.ahead_ms += 30_000
    late = tracking.create_run(experiment_id, heartbeats=True)
    tracking.clock.ahead_ms += LOST_AFTER_MS - 15_000
    heard = tracking.get_run(late).info.last_heartbeat_time.ToMilliseconds()

    def found(text: str, *order_by: str) -> list[str]:
        return _found(tracking, experiment_id, text, *order_by)

    assert found(f"attributes.last_heartbeat_time >= {heard}") == [late]
    assert found(f"attributes.last_heartbeat_time < {heard}") == [early]
    assert found("attributes.last_heartbeat_time IS NULL") == [silent]
    lost_ms = tracking.get_run(early).info.lost_since.ToMilliseconds()
    assert found(f"attributes.lost_since = {lost_ms}") == [early]
    assert found(f"attributes.lost_since > {lost_ms}") == []
    assert found("attributes.lost_since IS NOT NULL") == [early]
    assert sorted(found("attributes.lost_since IS NULL")) == sorted([silent, late])
    assert sorted(found(f"NOT {LOST}")) == sorted([silent, late])
    assert found("", "attributes.lost_since ASC")[0] == early
    assert found("", "attributes.last_heartbeat_time DESC")[:2] == [late, early]
    with refused("INVALID_PARAMETER_VALUE", "lost_since", "number"):
        found("attributes.lost_since = 'today'")


def test_a_heartbeat_needs_an_active_run(tracking: Tracking, experiment_id: str) -> None:
    run_id = tracking.create_run(experiment_id)
    with refused("RESOURCE_DOES_NOT_EXIST", "Run with id=nope not found"):
        _beat(tracking, "nope")
    tracking.rpc.DeleteRun(pb.DeleteRunRequest(run_id=run_id))
    with refused("INVALID_STATE", "must be in the 'active' state"):
        _beat(tracking, run_id)


def test_a_sign_of_life_is_not_written_with_each_metric(
    tracking: Tracking, experiment_id: str
) -> None:
    run_id = tracking.create_run(experiment_id, heartbeats=True)

    def log(ahead_ms: int) -> Any:
        tracking.clock.ahead_ms += ahead_ms
        tracking.rpc.LogMetric(pb.LogMetricRequest(run_id=run_id, key="m", value=1))
        return tracking.get_run(run_id).info.last_heartbeat_time

    first = tracking.get_run(run_id).info.last_heartbeat_time
    assert log(5_000) == first
    assert log(6_000) != first
