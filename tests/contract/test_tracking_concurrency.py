"""Concurrent calls about the same resources, through real channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY
from tests.support.databases.dialects import Dialect
from tests.support.platforms.tracking_service import Tracking, file_message, tracking_at

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.rpc.grpc_errors import error_info

CLIENTS = 8


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def at_once(work: Callable[[int], Any], clients: int = CLIENTS) -> list[Any]:
    """Call `work` from many threads; return what each returned, or why it was refused."""

    def attempt(index: int) -> Any:
        try:
            return work(index)
        except grpc.RpcError as error:
            info = error_info(error)
            assert info is not None
            return info.reason

    with ThreadPoolExecutor(clients) as threads:
        return list(threads.map(attempt, range(clients)))


def create_experiment(tracking: Tracking, name: str) -> str:
    reply = tracking.rpc.CreateExperiment(pb.CreateExperimentRequest(name=name))
    return str(reply.experiment_id)


def deadlocks() -> float:
    labels = {"sqlstate": "40P01"}
    return REGISTRY.get_sample_value("modelyard_db_tx_retries_total", labels) or 0


def test_runs_that_log_for_one_model_leave_its_greatest_point(tracking: Tracking) -> None:
    first = tracking.create_run()
    model_id = tracking.create_model(first)
    runs = [tracking.create_run() for _ in range(CLIENTS)]

    def log(index: int) -> None:
        for step in range(index, 10 * CLIENTS, CLIENTS):
            tracking.rpc.LogMetric(
                pb.LogMetricRequest(
                    run_id=runs[index], key="loss", value=step, step=step, model_id=model_id
                )
            )

    assert at_once(log) == [None] * CLIENTS
    model = tracking.rpc.GetLoggedModel(pb.GetLoggedModelRequest(model_id=model_id)).model
    assert [metric.value for metric in model.data.metrics] == [10 * CLIENTS - 1]


def test_no_run_stays_active_in_an_experiment_that_is_deleted_meanwhile(
    tracking: Tracking,
) -> None:
    for name in "abc":
        experiment_id = create_experiment(tracking, name)

        def create_or_delete(index: int, experiment_id: str = experiment_id) -> None:
            if index == CLIENTS // 2:
                request = pb.DeleteExperimentRequest(experiment_id=experiment_id)
                tracking.rpc.DeleteExperiment(request)
                return
            for _ in range(5):
                tracking.create_run(experiment_id)

        ended = at_once(create_or_delete)
        assert set(ended) <= {None, "INVALID_STATE"}
        active = tracking.rpc.SearchRuns(pb.SearchRunsRequest(experiment_ids=[experiment_id]))
        assert list(active.runs) == []


def test_a_run_restored_while_its_experiment_is_deleted_is_not_active_alone(
    tracking: Tracking,
) -> None:
    experiment_id = create_experiment(tracking, "a")
    run_id = tracking.create_run(experiment_id)

    def work(index: int) -> None:
        for _ in range(5):
            if index == 0:
                tracking.rpc.DeleteExperiment(
                    pb.DeleteExperimentRequest(experiment_id=experiment_id)
                )
                tracking.rpc.RestoreExperiment(
                    pb.RestoreExperimentRequest(experiment_id=experiment_id)
                )
            else:
                tracking.rpc.DeleteRun(pb.DeleteRunRequest(run_id=run_id))
                tracking.rpc.RestoreRun(pb.RestoreRunRequest(run_id=run_id))

    assert set(at_once(work, clients=3)) <= {None, "INVALID_STATE"}
    tracking.rpc.DeleteExperiment(pb.DeleteExperimentRequest(experiment_id=experiment_id))
    assert tracking.get_run(run_id).info.lifecycle_stage == "deleted"


def test_of_concurrent_renames_with_one_etag_one_succeeds(tracking: Tracking) -> None:
    experiment_id = create_experiment(tracking, "a")
    run_id = tracking.create_run()
    request = pb.GetExperimentRequest(experiment_id=experiment_id)
    etag = tracking.rpc.GetExperiment(request).experiment.etag
    run_etag = tracking.get_run(run_id).etag

    def rename_experiment(index: int) -> None:
        tracking.rpc.UpdateExperiment(
            pb.UpdateExperimentRequest(experiment_id=experiment_id, new_name=f"b{index}", etag=etag)
        )

    def rename_run(index: int) -> None:
        request = pb.UpdateRunRequest(run_id=run_id, run_name=f"b{index}", etag=run_etag)
        tracking.rpc.UpdateRun(request)

    for rename in (rename_experiment, rename_run):
        ended = at_once(rename)
        assert ended.count(None) == 1
        assert ended.count("ABORTED") == CLIENTS - 1


def test_every_change_of_an_experiment_is_counted(tracking: Tracking) -> None:
    def tag(index: int) -> None:
        for turn in range(5):
            tracking.rpc.SetExperimentTag(
                pb.SetExperimentTagRequest(experiment_id="0", key=f"k{turn}", value=str(index))
            )

    assert at_once(tag) == [None] * CLIENTS
    request = pb.GetExperimentRequest(experiment_id="0")
    experiment = tracking.rpc.GetExperiment(request).experiment
    assert experiment.etag == f'"{1 + 5 * CLIENTS}"'
    assert len(experiment.tags) == 5


def test_a_key_sent_many_times_at_once_makes_one_run(tracking: Tracking) -> None:
    def create(_: int) -> str:
        request = pb.CreateRunRequest(experiment_id="0", run_name="one", start_time=1)
        reply = tracking.rpc.CreateRun(request, metadata=[("idempotency-key", "k")])
        return str(reply.run.info.run_id)

    assert len(set(at_once(create))) == 1
    found = tracking.rpc.SearchRuns(pb.SearchRunsRequest(experiment_ids=["0"])).runs
    assert len(found) == 1


def test_of_different_requests_with_one_key_one_succeeds(tracking: Tracking) -> None:
    def create(index: int) -> str:
        request = pb.CreateRunRequest(experiment_id="0", run_name=f"run {index}")
        reply = tracking.rpc.CreateRun(request, metadata=[("idempotency-key", "k")])
        return str(reply.run.info.run_id)

    ended = at_once(create)
    assert ended.count("INVALID_PARAMETER_VALUE") == CLIENTS - 1
    found = tracking.rpc.SearchRuns(pb.SearchRunsRequest(experiment_ids=["0"])).runs
    assert len(found) == 1


def test_a_path_never_becomes_a_file_and_a_folder(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    paths = ["a", "a/b", "a/b/c", "a/d"] * (CLIENTS // 4)

    def log(index: int) -> None:
        tracking.log_files({paths[index]: b"same"}, run_id=run_id)

    assert set(at_once(log)) == {None, "INVALID_PARAMETER_VALUE"}
    files = tracking.artifacts.GetArtifacts(artifacts.GetArtifactsRequest(run_id=run_id)).files
    kept = [file.path for file in files]
    for path in kept:
        assert not any(other.startswith(f"{path}/") for other in kept)


def test_objects_declared_by_many_at_once_in_any_order_are_leased_without_deadlocks(
    tracking: Tracking,
) -> None:
    run_id = tracking.create_run()
    messages = [file_message(f"f{number}", str(number).encode()) for number in range(300)]
    before = deadlocks()

    def declare(index: int) -> int:
        files = messages if index % 2 else messages[::-1]
        request = artifacts.DeclareArtifactsRequest(run_id=run_id, files=files)
        return len(tracking.artifacts.DeclareArtifacts(request).uploads)

    assert at_once(declare) == [300] * CLIENTS
    assert at_once(declare) == [300] * CLIENTS
    assert deadlocks() == before


def test_many_runs_read_one_new_dataset(tracking: Tracking) -> None:
    runs = [tracking.create_run() for _ in range(CLIENTS)]
    dataset = pb.Dataset(name="iris", digest="d", source_type="local", source="s")

    def read(index: int) -> None:
        request = pb.LogInputsRequest(
            run_id=runs[index], datasets=[pb.DatasetInput(dataset=dataset)]
        )
        tracking.rpc.LogInputs(request)

    assert at_once(read) == [None] * CLIENTS
    assert all(tracking.get_run(run_id).inputs.dataset_inputs for run_id in runs)


def test_a_reply_is_of_one_instant(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    done = Event()

    def write(_: int) -> None:
        turns = count() if not done.is_set() else iter(())
        for turn in turns:
            if done.is_set():
                return
            tracking.rpc.LogBatch(
                pb.LogBatchRequest(
                    run_id=run_id,
                    metrics=[pb.Metric(key="turn", value=turn, step=turn, timestamp=1)],
                    tags=[pb.RunTag(key="turn", value=str(turn))],
                    params=[pb.Param(key=f"p{turn}", value=str(turn))] if turn < 90 else [],
                )
            )

    def read() -> None:
        try:
            for _ in range(60):
                data = tracking.get_run(run_id).data
                tags = {tag.key: tag.value for tag in data.tags}
                metrics = {metric.key: metric.value for metric in data.metrics}
                assert float(tags.get("turn", -1)) == metrics.get("turn", -1)
                turns = int(tags.get("turn", -1)) + 1
                assert len(data.params) == min(turns, 90)
        finally:
            done.set()

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write, 0)
        read()
        writing.result()
