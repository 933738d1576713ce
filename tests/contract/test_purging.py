"""Purging removes for good what was deleted, and nothing else."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from sqlalchemy import func, select, text
from tests.support.databases.dialects import BEFORE_SQL, ONE_SQL, Dialect
from tests.support.platforms.full_runs import (
    DATASET,
    ONE,
    TWO,
    experiment,
    full_run,
    log_metric,
)
from tests.support.platforms.swept_platform import Platform, shared_platforms
from tests.support.platforms.tracking_service import refused
from tests.support.processes import killed_purge

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.artifacts import Digest
from modelyard_tracking.models import Base, Run
from modelyard_tracking.operations import purging, removing

DAY_MS = 24 * 60 * 60 * 1000


@pytest.fixture(scope="module")
def platforms(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Dialect], Platform]]:
    with shared_platforms(tmp_path_factory) as running:
        yield running


@pytest.fixture
def platform(platforms: Callable[[Dialect], Platform], dialect: Dialect) -> Iterator[Platform]:
    running = platforms(dialect)
    yield running
    running.empty()


def purge_page(
    platform: Platform, days: float = 0, **fields: Any
) -> artifacts.PurgeDeletedResponse:
    request = artifacts.PurgeDeletedRequest(older_than_ms=int(days * DAY_MS), **fields)
    reply: artifacts.PurgeDeletedResponse = platform.tracking.artifacts.PurgeDeleted(request)
    return reply


def purge(platform: Platform, days: float = 0, **fields: Any) -> tuple[int, int, int, int, int]:
    """Purge all pages; return the numbers of experiments, runs, models, files and their bytes."""
    counts = [0] * 5
    page_token = ""
    while True:
        reply = purge_page(platform, days, page_token=page_token, **fields)
        page = (reply.experiments, reply.runs, reply.logged_models, reply.files, reply.files_bytes)
        counts = [total + more for total, more in zip(counts, page, strict=True)]
        page_token = reply.next_page_token
        if not page_token:
            return (counts[0], counts[1], counts[2], counts[3], counts[4])


def rows(platform: Platform) -> dict[str, int]:
    """Number of rows of each table of tracking that has any."""
    with platform.database.read() as session:
        counts = {
            table.name: session.scalar(select(func.count()).select_from(table)) or 0
            for table in Base.metadata.sorted_tables
        }
    return {name: count for name, count in counts.items() if count}


def delete(platform: Platform, *, experiment_id: str = "", run_id: str = "") -> None:
    rpc = platform.tracking.rpc
    if experiment_id:
        rpc.DeleteExperiment(pb.DeleteExperimentRequest(experiment_id=experiment_id))
    if run_id:
        rpc.DeleteRun(pb.DeleteRunRequest(run_id=run_id))


def restore(platform: Platform, experiment_id: str) -> bool:
    """Restore an experiment; return whether it still exists."""
    try:
        platform.tracking.rpc.RestoreExperiment(
            pb.RestoreExperimentRequest(experiment_id=experiment_id)
        )
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return False
        raise
    return True


def model_metrics(platform: Platform, model_id: str) -> list[float]:
    request = pb.GetLoggedModelRequest(model_id=model_id)
    model = platform.tracking.rpc.GetLoggedModel(request).model
    return [metric.value for metric in model.data.metrics]


def test_an_experiment_is_purged_with_everything_in_it(platform: Platform) -> None:
    before = rows(platform)
    number = experiment(platform, "old")
    full_run(platform, number)
    delete(platform, experiment_id=number)
    platform.clock.ahead_ms += 31 * DAY_MS
    assert purge(platform, 30, dry_run=True) == (1, 1, 1, 2, 6)
    assert purge(platform, 30) == (1, 1, 1, 2, 6)
    assert purge(platform, 30) == (0, 0, 0, 0, 0)
    assert platform.sweep() == {Digest.of(ONE), Digest.of(TWO)}
    after = rows(platform)
    assert after.pop("purged") == 3
    after.pop("idempotent_reply", None)
    assert after == before
    with refused("RESOURCE_DOES_NOT_EXIST"):
        delete(platform, experiment_id=number)
    assert experiment(platform, "old") not in {number, "0"}


@ONE_SQL
def test_what_was_deleted_lately_stays_and_can_be_restored(platform: Platform) -> None:
    number = experiment(platform, "young")
    run_id, _ = full_run(platform, number)
    delete(platform, experiment_id=number)
    platform.clock.ahead_ms += 29 * DAY_MS
    assert purge(platform, 30, dry_run=True) == (0, 0, 0, 0, 0)
    assert purge(platform, 30) == (0, 0, 0, 0, 0)
    restored = pb.RestoreExperimentRequest(experiment_id=number)
    platform.tracking.rpc.RestoreExperiment(restored)
    platform.clock.ahead_ms += 29 * DAY_MS
    delete(platform, run_id=run_id)
    platform.clock.ahead_ms += 29 * DAY_MS
    assert purge(platform, 30) == (0, 0, 0, 0, 0)
    assert platform.tracking.get_run(run_id).info.lifecycle_stage == "deleted"
    assert platform.sweep() == set()


def test_a_run_is_purged_by_itself_and_what_refers_to_it_stays(platform: Platform) -> None:
    run_id, model_id = full_run(platform)
    other = platform.tracking.create_run()
    datasets = [pb.DatasetInput(dataset=DATASET)]
    platform.tracking.rpc.LogInputs(pb.LogInputsRequest(run_id=other, datasets=datasets))
    platform.tracking.log_files({"same": ONE}, run_id=other)
    log_metric(platform, other, model_id, 0.25)
    log_metric(platform, run_id, model_id, 0.75, step=2)
    assert model_metrics(platform, model_id) == [0.75]
    delete(platform, run_id=run_id)
    platform.clock.end_leases()
    assert purge(platform) == (0, 1, 0, 1, 3)
    assert platform.sweep() == set()
    with refused("RESOURCE_DOES_NOT_EXIST", run_id):
        platform.tracking.get_run(run_id)
    with refused("RESOURCE_DOES_NOT_EXIST", run_id):
        platform.tracking.rpc.RestoreRun(pb.RestoreRunRequest(run_id=run_id))
    request = pb.GetLoggedModelRequest(model_id=model_id)
    assert not platform.tracking.rpc.GetLoggedModel(request).model.info.source_run_id
    assert model_metrics(platform, model_id) == [0.25]
    (used,) = platform.tracking.get_run(other).inputs.dataset_inputs
    assert used.dataset.name == "iris"


def test_a_logged_model_is_purged_by_itself(platform: Platform) -> None:
    run_id, model_id = full_run(platform)
    request = pb.DeleteLoggedModelRequest(model_id=model_id)
    platform.tracking.rpc.DeleteLoggedModel(request)
    platform.clock.end_leases()
    assert purge(platform) == (0, 0, 1, 1, 3)
    assert platform.sweep() == {Digest.of(TWO)}
    run = platform.tracking.get_run(run_id)
    assert not run.outputs.model_outputs
    assert [metric.value for metric in run.data.metrics] == [0.5]


@ONE_SQL
def test_a_registered_version_outlives_the_run_it_names(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"model/MLmodel": ONE, "model/data": TWO}, run_id=run_id)
    version = platform.register(run_id)
    delete(platform, run_id=run_id)
    platform.clock.end_leases()
    assert purge(platform) == (0, 1, 0, 2, 6)
    assert platform.sweep() == set()
    resolved = platform.registry.ResolveModel(
        registry_pb2.ResolveModelRequest(uri=f"models:/iris/{version}")
    )
    assert resolved.model_version.version == version
    found = platform.registry.GetModelVersion(
        registry_pb2.GetModelVersionRequest(name="iris", version=version)
    ).model_version
    assert found.run_id == run_id
    with refused("RESOURCE_DOES_NOT_EXIST", run_id):
        platform.register(run_id)
    platform.delete_version(version)
    assert {Digest.of(ONE), Digest.of(TWO)} <= platform.sweep()


def test_a_restored_database_does_not_use_ids_of_purged_experiments_again(
    platform: Platform,
) -> None:
    numbers = [int(experiment(platform, name)) for name in ("a", "b", "c")]
    for number in numbers[1:]:
        delete(platform, experiment_id=str(number))
    purge(platform)
    dialect = platform.database.engine.dialect.name
    counted_from_largest = {
        "sqlite": "UPDATE sqlite_sequence SET seq = :last WHERE name = 'experiment'",
        "postgresql": "SELECT setval(pg_get_serial_sequence('experiment', 'experiment_id'), :last)",
    }
    with platform.database.write() as session:
        session.execute(text(counted_from_largest[dialect]), {"last": numbers[0]})
    added = [int(experiment(platform, name)) for name in ("d", "e")]
    assert added == [numbers[-1] + 1, numbers[-1] + 2]


@ONE_SQL
def test_default_keeps_its_row(platform: Platform) -> None:
    platform.tracking.create_run()
    delete(platform, experiment_id="0")
    assert purge(platform) == (0, 1, 0, 0, 0)
    request = pb.RestoreExperimentRequest(experiment_id="0")
    platform.tracking.rpc.RestoreExperiment(request)
    platform.tracking.create_run()


def test_an_interrupted_purge_is_continued(platform: Platform) -> None:
    number = experiment(platform, "old")
    run_id, _ = full_run(platform, number)
    delete(platform, experiment_id=number)
    until_ms = platform.clock() + 1
    for _ in range(3):  # claims the experiment, claims its run, removes the run
        with platform.database.write() as session:
            _, is_left = purging.purge_some(session, until_ms, until_ms)
        assert is_left
        rpc = platform.tracking.rpc
        with refused("RESOURCE_DOES_NOT_EXIST"):
            rpc.RestoreExperiment(pb.RestoreExperimentRequest(experiment_id=number))
    assert experiment(platform, "old") != number  # the name is free at once
    with refused("RESOURCE_DOES_NOT_EXIST"):
        platform.tracking.get_run(run_id)
    view = pb.SearchRunsRequest(experiment_ids=[number], run_view_type=pb.ALL)
    assert not platform.tracking.rpc.SearchRuns(view).runs
    assert purge(platform) == (0, 0, 1, 1, 3)  # its model
    assert rows(platform)["experiment"] == 2
    assert "run" not in rows(platform)


@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True)  # SQLite's file has one process
def test_a_purge_killed_in_the_middle_is_finished_by_the_next(platform: Platform) -> None:
    number = experiment(platform, "old")
    run_id, _ = full_run(platform, number)
    delete(platform, experiment_id=number)
    url = platform.database.engine.url.render_as_string(hide_password=False)
    arguments = [url, str(platform.clock() + 1), "3"]  # claims the experiment and its run
    killed = subprocess.run([sys.executable, killed_purge.__file__, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    with platform.database.write() as session:  # waits for the end of the killed transaction
        assert session.scalars(select(Run.run_id).with_for_update()).all() == [run_id]
    with refused("RESOURCE_DOES_NOT_EXIST"):
        platform.tracking.get_run(run_id)
    assert purge(platform) == (0, 0, 1, 1, 3)
    assert not {"run", "logged_model", "param", "missing_artifact"} & rows(platform).keys()
    platform.clock.end_leases()
    assert platform.sweep() == {Digest.of(ONE), Digest.of(TWO)}


def test_an_experiment_is_restored_or_purged_as_a_whole(platform: Platform) -> None:
    with ThreadPoolExecutor(1) as threads:
        for number in (experiment(platform, f"e{index}") for index in range(6)):
            run_ids = [platform.tracking.create_run(number) for _ in range(3)]
            delete(platform, experiment_id=number)
            purging_it = threads.submit(purge, platform)
            is_restored = restore(platform, number)
            assert purging_it.result() == ((0,) * 5 if is_restored else (1, 3, 0, 0, 0))
            for run_id in run_ids if is_restored else ():
                request = pb.LogParamRequest(run_id=run_id, key="k", value="v")
                platform.tracking.rpc.LogParam(request)


def test_many_runs_are_purged_page_by_page(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "_CLAIMED_AT_ONCE", 2)
    monkeypatch.setattr(removing, "_OWNERS_AT_ONCE", 2)
    monkeypatch.setattr(removing, "_ROWS_AT_ONCE", 5)
    number = experiment(platform, "wide")
    params = [pb.Param(key=f"p{index}", value="x") for index in range(100)]
    for index in range(7):
        run_id = platform.tracking.create_run(number)
        keys = params if index == 0 else params[:1]
        platform.tracking.rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, params=keys))
    delete(platform, experiment_id=number)
    assert purge_page(platform).next_page_token
    purge(platform)
    left = rows(platform)
    assert (left["purged"], "run" in left, "param" in left) == (8, False, False)


def test_stored_replies_about_a_purged_run_are_removed(platform: Platform) -> None:
    request = pb.CreateRunRequest(
        experiment_id="0", tags=[pb.RunTag(key="patient", value="secret")]
    )
    metadata = (("idempotency-key", "k1"),)
    created = platform.tracking.rpc.CreateRun(request, metadata=metadata)
    kept = platform.tracking.rpc.CreateRun(request, metadata=(("idempotency-key", "k2"),))
    run_id = created.run.info.run_id
    delete(platform, run_id=run_id)
    assert purge(platform) == (0, 1, 0, 0, 0)
    again = platform.tracking.rpc.CreateRun(request, metadata=(("idempotency-key", "k2"),))
    assert again.run.info.run_id == kept.run.info.run_id
    new = platform.tracking.rpc.CreateRun(request, metadata=metadata)
    assert new.run.info.run_id != run_id


@BEFORE_SQL
def test_an_age_is_required_and_checked_and_so_is_a_page_token(platform: Platform) -> None:
    for older_than_ms in (None, -1, 3_153_600_000_001):
        request = artifacts.PurgeDeletedRequest(older_than_ms=older_than_ms)
        with refused("INVALID_PARAMETER_VALUE", "older_than_ms"):
            platform.tracking.artifacts.PurgeDeleted(request)
    with refused("INVALID_PARAMETER_VALUE", "page_token"):
        purge_page(platform, page_token="x")
