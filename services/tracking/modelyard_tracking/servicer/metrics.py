from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.keys import checked_key
from modelyard_kit.rpc.calls import Call, FastCall, fast_writes, reads
from modelyard_kit.rpc.fields import given
from modelyard_tracking import wire
from modelyard_tracking.operations import history, metrics, params_and_tags, runs
from modelyard_tracking.rules.points import (
    Columns,
    Curve,
    add_series,
    checked_point,
    checked_points,
    checked_series,
    sample,
)
from modelyard_tracking.rules.values import (
    MAX_BATCH_ITEMS,
    MAX_SERIES_POINTS,
    checked_run_id,
    run_id_of,
)

_MAX_HISTORY_POINTS = 25_000
_MAX_SAMPLED_POINTS = 2_500
_MAX_POINTS = 1_000_000


class Metrics:
    """RPCs for metrics, and for batches of metrics, params and tags."""

    database: Database
    clock: Clock

    @fast_writes
    def LogMetric(self, request: pb.LogMetricRequest, call: FastCall) -> pb.LogMetricResponse:
        run_id = run_id_of(request.run_id, request.run_uuid)
        curve, columns = checked_point(wire.point_of(request, call.now_ms))
        runs.write_to_run(call.rows, run_id, call.now_ms)
        metrics.log_points(call.rows, run_id, {curve: columns})
        return pb.LogMetricResponse()

    @fast_writes
    def LogBatch(self, request: pb.LogBatchRequest, call: FastCall) -> pb.LogBatchResponse:
        run_id = checked_run_id(request.run_id)
        item_count = len(request.metrics) + len(request.params) + len(request.tags)
        if item_count > MAX_BATCH_ITEMS:
            raise InvalidArgument(
                f"A batch logging request can contain at most {MAX_BATCH_ITEMS} items. "
                f"Got {item_count} items. Please split up metrics, params, and tags across "
                "multiple requests and try again."
            )
        points = (wire.point_of(message, call.now_ms) for message in request.metrics)
        curves = checked_points(points, "metrics")
        _refuse_other_runs(request)
        add_series(curves, _series(request.series))
        params = wire.pairs_of(request.params, "param")
        for index, param in enumerate(request.params):
            checked_key(param.key, f"params[{index}].key")
        for index, tag in enumerate(request.tags):
            checked_key(tag.key, f"tags[{index}].key")
        runs.write_to_run(call.rows, run_id, call.now_ms)
        params_and_tags.log_params(call.rows, run_id, params)
        metrics.log_points(call.rows, run_id, curves)
        params_and_tags.set_tags(call.rows, run_id, {tag.key: tag.value for tag in request.tags})
        return pb.LogBatchResponse()

    @fast_writes
    def LogMetricSeries(
        self, request: pb.LogMetricSeriesRequest, call: FastCall
    ) -> pb.LogMetricSeriesResponse:
        run_id = checked_run_id(request.run_id)
        curves: dict[Curve, Columns] = {}
        add_series(curves, _series(request.series))
        runs.write_to_run(call.rows, run_id, call.now_ms)
        metrics.log_points(call.rows, run_id, curves)
        return pb.LogMetricSeriesResponse()

    @reads
    def GetMetricHistory(
        self, request: pb.GetMetricHistoryRequest, call: Call
    ) -> pb.GetMetricHistoryResponse:
        run_id = run_id_of(request.run_id, request.run_uuid)
        if not runs.exists(call.session, run_id):
            return pb.GetMetricHistoryResponse()
        found, next_page_token = history.history_page(
            call.session,
            run_id,
            request.metric_key,
            request.page_token,
            given(request, "max_results", _MAX_HISTORY_POINTS),
        )
        return pb.GetMetricHistoryResponse(
            metrics=[wire.history_point(request.metric_key, item) for item in found],
            next_page_token=next_page_token,
        )

    @reads
    def GetMetricHistoryBulk(
        self, request: pb.GetMetricHistoryBulkRequest, call: Call
    ) -> pb.GetMetricHistoryBulkResponse:
        run_ids = _visible_runs(call, request.run_id)
        limit = given(request, "max_results", _MAX_HISTORY_POINTS)
        found = history.points_of_runs(call.session, run_ids, request.metric_key, limit)
        return pb.GetMetricHistoryBulkResponse(
            metrics=[wire.point_of_run(request.metric_key, *item) for item in found]
        )

    @reads
    def GetMetricSeries(
        self, request: pb.GetMetricSeriesRequest, call: Call
    ) -> pb.GetMetricSeriesResponse:
        run_ids = _existing_runs(call, request.run_ids)
        keys = list(request.metric_keys)
        thinned = request.HasField("max_points")
        limit = given(request, "max_points", _MAX_POINTS)
        stored = history.count_points(call.session, run_ids, keys)
        if not thinned and stored > _MAX_POINTS:
            raise InvalidArgument(
                f"These series have {stored:,} points; a reply has at most {_MAX_POINTS:,}. "
                "Request fewer runs or metrics, or set max_points."
            )
        reply = pb.GetMetricSeriesResponse()
        for run_id in run_ids:
            curves = history.series_of_run(call.session, run_id, keys)
            series = [wire.series(curve, sample(points, limit)) for curve, points in curves.items()]
            reply.runs.add(run_id=run_id, series=series)
        return reply

    @reads
    def GetMetricHistoryBulkInterval(
        self, request: pb.GetMetricHistoryBulkIntervalRequest, call: Call
    ) -> pb.GetMetricHistoryBulkIntervalResponse:
        run_ids = _visible_runs(call, request.run_ids)
        first, last = _interval(request)
        limit = given(request, "max_results", _MAX_SAMPLED_POINTS)
        return pb.GetMetricHistoryBulkIntervalResponse(
            metrics=[
                wire.point_of_run(request.metric_key, run_id, point)
                for run_id in run_ids
                for point in sample(
                    history.points_between(call.session, run_id, request.metric_key, first, last),
                    limit,
                )
            ]
        )


def _series(messages: Sequence[pb.MetricSeries]) -> Iterator[tuple[Curve, Columns]]:
    """Return checked series."""
    point_count = sum(len(message.values) for message in messages)
    if point_count > MAX_SERIES_POINTS:
        raise InvalidArgument(
            f"The series have {point_count:,} points in total; "
            f"at most {MAX_SERIES_POINTS:,} are allowed."
        )
    for index, message in enumerate(messages):
        curve, columns = wire.series_of(message)
        checked_series(curve, columns, f"series[{index}].")
        yield curve, columns


def _refuse_other_runs(request: pb.LogBatchRequest) -> None:
    for index, message in enumerate(request.metrics):
        if message.run_id and message.run_id != request.run_id:
            raise InvalidArgument(
                f"metrics[{index}].run_id '{message.run_id}' is not the batch's run "
                f"'{request.run_id}'.",
                run_id=message.run_id,
            )


def _existing_runs(call: Call, run_ids: Iterable[str]) -> list[str]:
    unique = list(dict.fromkeys(run_ids))
    for run_id in unique:
        runs.get_run(call.session, checked_run_id(run_id))
    return unique


def _visible_runs(call: Call, run_ids: Iterable[str]) -> list[str]:
    """Return those that exist; of the others MLflow's clients expect no points."""
    unique = map(checked_run_id, dict.fromkeys(run_ids))
    return [run_id for run_id in unique if runs.exists(call.session, run_id)]


def _interval(
    request: pb.GetMetricHistoryBulkIntervalRequest,
) -> tuple[int | None, int | None]:
    has_start, has_end = request.HasField("start_step"), request.HasField("end_step")
    if has_start != has_end:
        raise InvalidArgument("If either start_step or end_step are specified, both must be.")
    if not has_start:
        return None, None
    if request.start_step > request.end_step:
        raise InvalidArgument(
            f"end_step must be greater than start_step. Found start_step={request.start_step} "
            f"and end_step={request.end_step}."
        )
    return request.start_step, request.end_step
