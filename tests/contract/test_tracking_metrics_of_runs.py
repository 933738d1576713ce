"""One metric of many runs, and the datasets that the runs of experiments read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.tracking_originals import create_experiment
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.tracking.v1 import tracking_pb2 as pb


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def log(tracking: Tracking, run_id: str, points: list[tuple[int, int, float]]) -> None:
    series = pb.MetricSeries(
        key="m",
        timestamps=[timestamp_ms for timestamp_ms, _, _ in points],
        steps=[step for _, step, _ in points],
        values=[value for _, _, value in points],
    )
    tracking.rpc.LogMetricSeries(pb.LogMetricSeriesRequest(run_id=run_id, series=[series]))


def bulk(
    tracking: Tracking, run_ids: list[str], most: int | None = None
) -> list[tuple[str, int, int, float]]:
    request = pb.GetMetricHistoryBulkRequest(run_id=run_ids, metric_key="m", max_results=most)
    reply = tracking.rpc.GetMetricHistoryBulk(request)
    assert {metric.key for metric in reply.metrics} <= {"m"}
    return [(m.run_id, m.timestamp, m.step, m.value) for m in reply.metrics]


def read_dataset(tracking: Tracking, run_id: str, name: str, digest: str, *contexts: str) -> None:
    source = {"source_type": "local", "source": "here"}
    tags = [pb.InputTag(key="mlflow.data.context", value=context) for context in contexts]
    dataset = pb.Dataset(name=name, digest=digest, **source)
    used = pb.DatasetInput(dataset=dataset, tags=[*tags, pb.InputTag(key="other", value="x")])
    tracking.rpc.LogInputs(pb.LogInputsRequest(run_id=run_id, datasets=[used]))


def summaries(tracking: Tracking, *experiment_ids: str) -> list[tuple[str, str, str, str | None]]:
    request = pb.SearchDatasetsRequest(experiment_ids=experiment_ids)
    return [
        (s.experiment_id, s.name, s.digest, s.context if s.HasField("context") else None)
        for s in tracking.rpc.SearchDatasets(request).dataset_summaries
    ]


def test_points_of_many_runs_are_by_run_then_time_then_step_then_value(tracking: Tracking) -> None:
    first, second, without = sorted(tracking.create_run() for _ in range(3))
    points = [(5, 0, 1.0), (2, 9, 3.0), (2, 1, 7.0), (2, 1, -math.inf), (5, 0, 1.0)]
    log(tracking, first, points)
    log(tracking, second, [(1, 0, 1.0)])
    expected = [(first, *point) for point in sorted(set(points))] + [(second, 1, 0, 1.0)]
    assert bulk(tracking, [second, without, first, second]) == expected
    assert bulk(tracking, [second, first], most=2) == expected[:2]
    assert bulk(tracking, [without]) == []


def test_a_bulk_of_points_ends_at_its_limit(tracking: Tracking) -> None:
    run_ids = sorted(tracking.create_run() for _ in range(2))
    for run_id in run_ids:
        log(tracking, run_id, [(step, step, 0.5) for step in range(15_000)])
    found = bulk(tracking, run_ids)
    assert len(found) == 25_000
    assert found[14_999:15_001] == [(run_ids[0], 14_999, 14_999, 0.5), (run_ids[1], 0, 0, 0.5)]


def test_an_invalid_bulk_request_is_refused(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    for run_ids, most, fragment in (
        ([], None, "run_id"),
        ([run_id] * 101, None, "100"),
        ([run_id], 0, "max_results"),
        ([run_id], 25_001, "max_results"),
        (["no id!"], None, "Invalid run ID"),
    ):
        with refused("INVALID_PARAMETER_VALUE", fragment):
            bulk(tracking, run_ids, most)
    with refused("INVALID_PARAMETER_VALUE", "metric_key"):
        tracking.rpc.GetMetricHistoryBulk(pb.GetMetricHistoryBulkRequest(run_id=[run_id]))


def test_a_run_that_does_not_exist_has_no_points(tracking: Tracking) -> None:
    run_id, unknown = tracking.create_run(), "f" * 32
    metric = pb.LogMetricRequest(run_id=run_id, key="m", value=1.0, timestamp=1)
    tracking.rpc.LogMetric(metric)
    interval = pb.GetMetricHistoryBulkIntervalRequest(run_ids=[unknown, run_id], metric_key="m")

    assert tracking.history(unknown, "m") == []
    assert [point[0] for point in bulk(tracking, [unknown, run_id])] == [run_id]
    found = tracking.rpc.GetMetricHistoryBulkInterval(interval).metrics
    assert [point.run_id for point in found] == [run_id]


def test_datasets_of_experiments_come_once_with_each_context(tracking: Tracking) -> None:
    other = create_experiment(tracking, "other")
    runs = [tracking.create_run() for _ in range(4)]
    read_dataset(tracking, runs[0], "iris", "d1", "train")
    read_dataset(tracking, runs[1], "iris", "d1", "train")
    read_dataset(tracking, runs[2], "iris", "d1", "eval")
    read_dataset(tracking, runs[3], "iris", "d1")
    read_dataset(tracking, runs[3], "iris", "d0", "train")
    read_dataset(tracking, tracking.create_run(other), "boston", "d9", "test")
    of_default = [
        ("0", "iris", "d0", "train"),
        ("0", "iris", "d1", None),
        ("0", "iris", "d1", "eval"),
        ("0", "iris", "d1", "train"),
    ]
    assert summaries(tracking, "0") == of_default
    assert summaries(tracking, other, "0") == [*of_default, (other, "boston", "d9", "test")]
    assert summaries(tracking, "99") == []


def test_an_invalid_request_for_datasets_is_refused(tracking: Tracking) -> None:
    for experiment_ids, fragment in (
        ([], "experiment_ids"),
        (["x"], "Invalid experiment ID"),
        (["0"] * 101, "100"),
    ):
        with refused("INVALID_PARAMETER_VALUE", fragment):
            summaries(tracking, *experiment_ids)
