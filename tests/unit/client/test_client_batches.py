"""What `log_batch` sends: columns of points, in as few calls as the limits allow."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from tests.support.platforms.recording_tracking import Recorder, serving

from modelyard._client import background
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.client import MlflowClient
from modelyard.entities import Metric, Param, RunTag
from modelyard.exceptions import InvalidParameter

RUN_ID = "0" * 32


class Batches(Recorder):
    """A tracking service that keeps the batches it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[pb.LogBatchRequest] = []

    def LogMetric(
        self, request: pb.LogMetricRequest, context: grpc.ServicerContext
    ) -> pb.LogMetricResponse:
        self._record(context)
        return pb.LogMetricResponse()

    def LogBatch(
        self, request: pb.LogBatchRequest, context: grpc.ServicerContext
    ) -> pb.LogBatchResponse:
        self._record(context)
        self.requests.append(request)
        return pb.LogBatchResponse()


@pytest.fixture
def batches() -> Batches:
    return Batches()


@pytest.fixture
def client(batches: Batches) -> Iterator[MlflowClient]:
    with serving(batches) as port:
        yield MlflowClient(f"grpc://127.0.0.1:{port}")


def points_of(series: pb.MetricSeries) -> list[tuple[int, int, float]]:
    return list(zip(series.steps, series.timestamps, series.values, strict=True))


def test_many_points_are_sent_in_batches_of_ten_thousand(
    client: MlflowClient, batches: Batches
) -> None:
    client.log_batch(RUN_ID, [Metric("m", i / 7, i, step=-i) for i in range(20_001)])
    sent = [points_of(series) for request in batches.requests for series in request.series]
    assert [len(points) for points in sent] == [10_000, 10_000, 1]
    assert list(itertools.chain(*sent)) == [(-i, i, i / 7) for i in range(20_001)]


def test_many_curves_are_sent_in_batches_of_a_thousand(
    client: MlflowClient, batches: Batches
) -> None:
    client.log_batch(RUN_ID, [Metric(f"m{i % 1500}", i, 1) for i in range(3000)])
    assert [len(request.series) for request in batches.requests] == [1000, 500]
    for number, series in enumerate(batches.requests[0].series):
        assert points_of(series) == [(0, 1, number), (0, 1, number + 1500)]


def test_points_are_sent_with_params_and_tags(client: MlflowClient, batches: Batches) -> None:
    client.log_batch(
        RUN_ID,
        [Metric("m", i, 1, i) for i in range(1000)],
        [Param(f"p{i}", str(i)) for i in range(150)],
        [RunTag(f"t{i}", str(i)) for i in range(100)],
    )
    first, second = batches.requests
    assert (len(first.params), len(first.tags), len(second.params)) == (100, 100, 50)
    assert points_of(first.series[0]) == [(i, 1, float(i)) for i in range(1000)]
    assert not second.series
    assert {request.run_id for request in batches.requests} == {RUN_ID}


def test_points_are_of_one_curve_if_key_model_and_dataset_are_the_same(
    client: MlflowClient, batches: Batches
) -> None:
    curves: list[dict[str, Any]] = [
        {},
        {"model_id": "m-1"},
        {"dataset_name": "d", "dataset_digest": "e"},
        {"dataset_name": "d", "dataset_digest": "f"},
    ]
    client.log_batch(RUN_ID, [Metric("m", n, 1, **curve) for n in range(2) for curve in curves])
    expected = [
        pb.MetricSeries(key="m", steps=[0, 0], timestamps=[1, 1], values=[0, 1], **curve)
        for curve in curves
    ]
    assert list(batches.requests[0].series) == expected


def test_points_of_other_clients_may_lack_time_and_step(
    client: MlflowClient, batches: Batches
) -> None:
    before_ms = time.time_ns() // 1_000_000
    lacking: Any = {"timestamp": None, "step": None, "model_id": None}
    point: Any = SimpleNamespace(
        key="m", value=1, dataset_name=None, dataset_digest=None, **lacking
    )
    client.log_batch(RUN_ID, [point])
    ((step, timestamp, value),) = points_of(batches.requests[0].series[0])
    assert (step, value) == (0, 1.0)
    assert before_ms <= timestamp <= time.time_ns() // 1_000_000


def test_nothing_is_sent_if_one_value_is_wrong(client: MlflowClient, batches: Batches) -> None:
    points = [Metric("m", i, 1) for i in range(10_001)]
    with pytest.raises(InvalidParameter, match="metric 'n': expected a number"):
        client.log_batch(RUN_ID, [*points, Metric("n", None, 1)])  # type: ignore[arg-type]  # wrong
    with pytest.raises(InvalidParameter, match=r"2\.5 for step in argument 'metrics'"):
        client.log_batch(RUN_ID, [*points, Metric("n", 1, 1, 2.5)])  # type: ignore[arg-type]  # wrong
    assert batches.requests == []


def test_points_logged_in_the_background_are_sent_as_columns(
    client: MlflowClient, batches: Batches
) -> None:
    with background._queue._changed:  # so that they are sent together  # noqa: SLF001
        later: Any = [
            client.log_metric(RUN_ID, key, step, 1, step, synchronous=False, model_id="m-1")
            for step in range(3)
            for key in ("a", "b")
        ]
    for each in later:
        each.wait()
    assert list(batches.requests[0].series) == [
        pb.MetricSeries(
            key=key, model_id="m-1", steps=[0, 1, 2], timestamps=[1, 1, 1], values=[0, 1, 2]
        )
        for key in ("a", "b")
    ]
