import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.tracking_service import START_MS, Tracking, refused, tracking_at

from modelyard.api.tracking.v1 import tracking_pb2 as pb


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def latest(tracking: Tracking, run_id: str) -> dict[str, float]:
    return {metric.key: metric.value for metric in tracking.get_run(run_id).data.metrics}


def log(tracking: Tracking, run_id: str, *metrics: pb.Metric) -> None:
    tracking.rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, metrics=metrics))


def test_one_metric_is_logged_and_read_back(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    request = pb.LogMetricRequest(run_uuid=run_id, key="loss", value=0.5, timestamp=7, step=-2)
    tracking.rpc.LogMetric(request)
    assert tracking.history(run_id, "loss") == [(7, -2, 0.5)]
    (metric,) = tracking.get_run(run_id).data.metrics
    assert (metric.key, metric.value, metric.timestamp, metric.step) == ("loss", 0.5, 7, -2)
    assert tracking.history(run_id, "unknown") == []


def test_a_metric_without_a_timestamp_is_logged_now(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.rpc.LogMetric(pb.LogMetricRequest(run_id=run_id, key="loss", value=0.5))
    ((timestamp_ms, step, _),) = tracking.history(run_id, "loss")
    assert timestamp_ms > START_MS
    assert step == 0


@pytest.mark.parametrize("value", [math.inf, -math.inf, 5e-324, 1.7976931348623157e308, -0.0])
def test_extreme_values_are_preserved_exactly(tracking: Tracking, value: float) -> None:
    run_id = tracking.create_run()
    log(tracking, run_id, pb.Metric(key="m", value=value, timestamp=1))
    ((_, _, kept),) = tracking.history(run_id, "m")
    assert (kept, math.copysign(1, kept)) == (value, math.copysign(1, value))
    assert latest(tracking, run_id) == {"m": value}


def test_nan_is_preserved(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    log(tracking, run_id, pb.Metric(key="m", value=math.nan, timestamp=1))
    ((_, _, kept),) = tracking.history(run_id, "m")
    assert math.isnan(kept)
    assert math.isnan(latest(tracking, run_id)["m"])


def test_the_latest_is_of_the_greatest_step_then_time_then_value(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    expectations = [
        ((5, 100, 1.0), 1.0),
        ((4, 999, 2.0), 1.0),  # an earlier step, logged later
        ((5, 101, 0.5), 0.5),
        ((5, 101, 0.4), 0.5),
        ((5, 101, math.nan), 0.5),  # of one instant, a number rather than NaN
        ((5, 101, 0.6), 0.6),
        ((6, 1, math.nan), math.nan),
        ((6, 1, -math.inf), -math.inf),
    ]
    for (step, timestamp_ms, value), expected in expectations:
        log(tracking, run_id, pb.Metric(key="m", value=value, timestamp=timestamp_ms, step=step))
        assert str(latest(tracking, run_id)["m"]) == str(expected)


def test_history_is_by_time_then_step_then_value(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    points = [(2, 0, 1.0), (1, 5, 1.0), (1, 4, 9.0), (1, 4, 8.0)]
    log(
        tracking,
        run_id,
        *(pb.Metric(key="m", value=v, timestamp=t, step=s) for t, s, v in points),
    )
    assert tracking.history(run_id, "m") == sorted(points)


def test_a_batch_sent_again_changes_nothing(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    metrics = [pb.Metric(key=k, value=1.0, timestamp=t) for k in "ab" for t in range(3)]
    request = pb.LogBatchRequest(
        run_id=run_id,
        metrics=metrics,
        params=[pb.Param(key="p", value="1")],
        tags=[pb.RunTag(key="t", value="1")],
    )
    tracking.rpc.LogBatch(request)
    once = tracking.get_run(run_id).data
    log(tracking, run_id, pb.Metric(key="a", value=9.0, timestamp=1))
    tracking.rpc.LogBatch(request)
    assert tracking.history(run_id, "b") == [(0, 0, 1.0), (1, 0, 1.0), (2, 0, 1.0)]
    assert len(tracking.history(run_id, "a")) == 4
    assert tracking.get_run(run_id).data == once


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"metrics": [pb.Metric(key="a//b", value=1.0)]}, "metrics[0].key"),
        ({"metrics": [pb.Metric(key="a", timestamp=1)]}, "metrics[0].value"),
        ({"metrics": [pb.Metric(key="a", value=1.0, timestamp=-1)]}, "invalid timestamp -1"),
        ({"metrics": [pb.Metric(key="a", value=1.0, dataset_name="d")]}, "both or neither"),
        ({"metrics": [pb.Metric(key="a", value=1.0, model_id="m-1")]}, "Invalid model ID"),
        ({"metrics": [pb.Metric(key="a", value=1.0, run_id="other")]}, "metrics[0].run_id"),
        ({"params": [pb.Param(key="..", value="1")]}, "params[0].key"),
        ({"params": [pb.Param(key="a", value="1"), pb.Param(key="a", value="2")]}, "Duplicate"),
        ({"params": [pb.Param(key="old", value="2")]}, "Changing param values is not allowed"),
        ({"tags": [pb.RunTag(key="/", value="1")]}, "tags[0].key"),
        ({"tags": [pb.RunTag(key="mlflow.runName", value=" ")]}, "blank"),
    ],
)
def test_one_bad_item_refuses_the_whole_batch(
    tracking: Tracking, fields: dict[str, list[object]], expected: str
) -> None:
    run_id = tracking.create_run()
    tracking.rpc.LogParam(pb.LogParamRequest(run_id=run_id, key="old", value="1"))
    before = tracking.get_run(run_id)
    request = pb.LogBatchRequest(
        run_id=run_id,
        metrics=[pb.Metric(key="good", value=1.0, timestamp=1)],
        params=[pb.Param(key="good", value="1")],
        tags=[pb.RunTag(key="good", value="1")],
    )
    bad = pb.LogBatchRequest(**fields)  # type: ignore[arg-type]  # as named in the table
    bad.MergeFrom(request)
    with refused("INVALID_PARAMETER_VALUE", expected):
        tracking.rpc.LogBatch(bad)
    assert tracking.get_run(run_id) == before
    assert tracking.history(run_id, "good") == []


def test_a_batch_holds_a_thousand_items(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    metrics = [pb.Metric(key=f"m{n}", value=n, timestamp=n) for n in range(999)]
    tag = pb.RunTag(key="t", value="1")
    tracking.rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, metrics=metrics, tags=[tag]))
    assert len(latest(tracking, run_id)) == 999
    metrics.append(pb.Metric(key="x", value=1.0))
    with refused("INVALID_PARAMETER_VALUE", "at most 1000 items", "Got 1001"):
        tracking.rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, metrics=metrics, tags=[tag]))


def test_a_point_of_a_model_is_one_point_of_the_run(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    models = [tracking.create_model(run_id, name) for name in ("a", "b")]
    point = {"key": "acc", "value": 0.9, "timestamp": 3, "step": 1}
    log(
        tracking,
        run_id,
        pb.Metric(**point),  # type: ignore[arg-type]  # as spelled above
        *(pb.Metric(model_id=model_id, **point) for model_id in models),  # type: ignore[arg-type]
    )
    assert tracking.history(run_id, "acc") == [(3, 1, 0.9)]
    for model_id in models:
        model = tracking.rpc.GetLoggedModel(pb.GetLoggedModelRequest(model_id=model_id)).model
        (metric,) = model.data.metrics
        assert (metric.value, metric.run_id, metric.model_id) == (0.9, run_id, model_id)


def test_a_metric_of_an_unknown_model_is_refused(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    missing = "m-" + "0" * 32
    with refused("RESOURCE_DOES_NOT_EXIST", missing):
        log(tracking, run_id, pb.Metric(key="a", value=1.0, model_id=missing))
    assert latest(tracking, run_id) == {}


def test_a_long_history_is_paged_without_gaps_or_doubles(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    count = 6_000
    timestamps = [(n * 7919) % count for n in range(count)]
    series = pb.MetricSeries(
        key="m", steps=range(count), timestamps=timestamps, values=[float(t) for t in timestamps]
    )
    for _ in range(2):
        tracking.rpc.LogMetricSeries(pb.LogMetricSeriesRequest(run_id=run_id, series=[series]))
    request = pb.GetMetricHistoryRequest(run_id=run_id, metric_key="m", max_results=997)
    found: list[int] = []
    while True:
        reply = tracking.rpc.GetMetricHistory(request)
        found += [metric.timestamp for metric in reply.metrics]
        if not reply.next_page_token:
            break
        request.page_token = reply.next_page_token
    assert found == list(range(count))


def test_a_history_with_nan_and_infinities_is_paged(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    values = [-math.inf, -1.5, 0.0, math.inf, math.nan]
    log(tracking, run_id, *(pb.Metric(key="m", value=v, timestamp=1) for v in reversed(values)))
    request = pb.GetMetricHistoryRequest(run_id=run_id, metric_key="m", max_results=1)
    found = []
    for _ in values:
        reply = tracking.rpc.GetMetricHistory(request)
        found.append(reply.metrics[0].value)
        request.page_token = reply.next_page_token
    assert reply.next_page_token == ""
    assert str(found) == str(values)


def test_a_history_token_of_another_metric_is_refused(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    log(tracking, run_id, *(pb.Metric(key=k, value=v, timestamp=1) for k in "ab" for v in (1, 2)))
    request = pb.GetMetricHistoryRequest(run_id=run_id, metric_key="a", max_results=1)
    request.page_token = tracking.rpc.GetMetricHistory(request).next_page_token
    request.metric_key = "b"
    with refused("INVALID_PARAMETER_VALUE", "page_token"):
        tracking.rpc.GetMetricHistory(request)
    request.max_results = 25_001
    with refused("INVALID_PARAMETER_VALUE", "25001"):
        tracking.rpc.GetMetricHistory(request)


def test_series_come_back_whole_or_thinned(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    sent = [
        pb.MetricSeries(key=key, steps=range(100), timestamps=range(100), values=[0.5] * 100)
        for key in ("a", "b")
    ]
    tracking.rpc.LogMetricSeries(pb.LogMetricSeriesRequest(run_id=run_id, series=sent))
    request = pb.GetMetricSeriesRequest(run_ids=[run_id])
    (found,) = tracking.rpc.GetMetricSeries(request).runs
    assert list(found.series) == sent
    request = pb.GetMetricSeriesRequest(run_ids=[run_id], metric_keys=["b"], max_points=4)
    (found,) = tracking.rpc.GetMetricSeries(request).runs
    assert [list(series.steps) for series in found.series] == [[0, 33, 66, 99]]
    assert latest(tracking, run_id) == {"a": 0.5, "b": 0.5}


def test_series_of_unequal_length_or_too_many_points_are_refused(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    ragged = pb.MetricSeries(key="a", steps=[1], timestamps=[1, 2], values=[1.0])
    with refused("INVALID_PARAMETER_VALUE", "1 steps, 2 timestamps and 1 values"):
        tracking.rpc.LogMetricSeries(pb.LogMetricSeriesRequest(run_id=run_id, series=[ragged]))
    half = 50_001
    long = pb.MetricSeries(key="a", steps=[0] * half, timestamps=[0] * half, values=[0.0] * half)
    with refused("INVALID_PARAMETER_VALUE", "100,002", "100,000"):
        tracking.rpc.LogMetricSeries(pb.LogMetricSeriesRequest(run_id=run_id, series=[long, long]))
    with refused("INVALID_PARAMETER_VALUE", "100,002", "100,000"):
        tracking.rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, series=[long, long]))
    assert tracking.history(run_id, "a") == []


def test_a_batch_has_its_series_with_its_other_items_or_not_at_all(tracking: Tracking) -> None:
    run_id, count = tracking.create_run(), 1_500
    one = pb.MetricSeries(steps=range(count), timestamps=[1] * count, values=[0.5] * count)
    batch = pb.LogBatchRequest(
        run_id=run_id,
        metrics=[pb.Metric(key="a", value=1, timestamp=1, step=count)],
        params=[pb.Param(key="p", value="1")],
        series=[one, one],
    )
    for series, key in zip(batch.series, ("a", "b"), strict=True):
        series.key = key
    for _ in range(2):
        tracking.rpc.LogBatch(batch)
    assert tracking.history(run_id, "a") == [
        *((1, step, 0.5) for step in range(count)),
        (1, count, 1.0),
    ]
    assert latest(tracking, run_id) == {"a": 1.0, "b": 0.5}
    batch.params[0].value = "2"
    batch.series[0].key = "c"
    with refused("INVALID_PARAMETER_VALUE", "Changing param values is not allowed"):
        tracking.rpc.LogBatch(batch)
    assert tracking.history(run_id, "c") == []


def test_an_interval_of_many_runs_is_sampled(tracking: Tracking) -> None:
    run_ids = [tracking.create_run() for _ in range(2)]
    for run_id in run_ids:
        log(tracking, run_id, *(pb.Metric(key="m", value=n, timestamp=n, step=n) for n in range(9)))
    request = pb.GetMetricHistoryBulkIntervalRequest(
        run_ids=run_ids, metric_key="m", start_step=2, end_step=6, max_results=3
    )
    reply = tracking.rpc.GetMetricHistoryBulkInterval(request)
    assert [(m.run_id, m.step) for m in reply.metrics] == [
        (run_id, step) for run_id in run_ids for step in (2, 4, 6)
    ]
    request.ClearField("end_step")
    with refused("INVALID_PARAMETER_VALUE", "both must be"):
        tracking.rpc.GetMetricHistoryBulkInterval(request)
    request.end_step = 1
    with refused("INVALID_PARAMETER_VALUE", "start_step=2 and end_step=1"):
        tracking.rpc.GetMetricHistoryBulkInterval(request)


def test_concurrent_points_and_their_retries_are_each_stored_once(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    start = threading.Barrier(8)

    def write(worker: int) -> None:
        start.wait()
        for n in range(40):
            step = worker * 40 + n
            request = pb.LogMetricRequest(
                run_id=run_id, key="m", value=step, timestamp=step, step=step
            )
            tracking.rpc.LogMetric(request)
            if n % 3 == 0:
                tracking.rpc.LogMetric(request)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert tracking.history(run_id, "m") == [(n, n, float(n)) for n in range(320)]
    assert latest(tracking, run_id) == {"m": 319.0}


def test_concurrent_batches_are_all_or_nothing(tracking: Tracking) -> None:
    """Eight writers race for one param; only the batches of the winner leave anything."""
    run_id = tracking.create_run()
    start = threading.Barrier(8)

    def write(worker: int) -> bool:
        request = pb.LogBatchRequest(
            run_id=run_id,
            metrics=[pb.Metric(key=f"m{worker}", value=n, timestamp=n) for n in range(50)],
            params=[pb.Param(key="winner", value=str(worker))],
            tags=[pb.RunTag(key=f"t{worker}", value="1")],
        )
        start.wait()
        try:
            tracking.rpc.LogBatch(request)
        except grpc.RpcError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [worker for worker, ok in enumerate(pool.map(write, range(8))) if ok]
    data = tracking.get_run(run_id).data
    assert len(won) == 1
    assert [param.value for param in data.params] == [str(won[0])]
    assert [metric.key for metric in data.metrics] == [f"m{won[0]}"]
    assert [tag.key for tag in data.tags if tag.key.startswith("t")] == [f"t{won[0]}"]
    assert len(tracking.history(run_id, f"m{won[0]}")) == 50


def test_more_points_than_a_reply_holds_are_thinned_or_refused(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard_tracking.servicer.metrics._MAX_POINTS", 9)
    run_id = tracking.create_run()
    log(tracking, run_id, *(pb.Metric(key="m", value=n, timestamp=n) for n in range(10)))
    with refused("INVALID_PARAMETER_VALUE", "10 points", "max_points"):
        tracking.rpc.GetMetricSeries(pb.GetMetricSeriesRequest(run_ids=[run_id]))
    request = pb.GetMetricSeriesRequest(run_ids=[run_id], max_points=2)
    (found,) = tracking.rpc.GetMetricSeries(request).runs
    assert list(found.series[0].values) == [0.0, 9.0]
