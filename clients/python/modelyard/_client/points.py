"""Points of metrics as columns, which are many times faster to send and store than messages."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from modelyard._client.limits import metric_value
from modelyard.api.tracking.v1 import tracking_pb2 as pb

_curve_of = attrgetter("key", "model_id", "dataset_name", "dataset_digest")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def series_of(points: Iterable[Any]) -> list[pb.MetricSeries]:
    """Return points by curve, those of a curve in the given order.

    Args:
        points: Each a `Metric`, MLflow's own included, or a `LogMetricRequest`.

    Raises:
        InvalidParameter: A value is not a number.
    """
    curves: defaultdict[tuple[str, ...], list[Any]] = defaultdict(list)
    for point in points:
        curves[_curve_of(point)].append(point)
    return [_series(curve, of_curve) for curve, of_curve in curves.items()]


def _series(curve: tuple[str, ...], points: list[Any]) -> pb.MetricSeries:
    key, model_id, dataset_name, dataset_digest = curve
    return pb.MetricSeries(
        key=key,
        model_id=model_id or None,
        dataset_name=dataset_name or None,
        dataset_digest=dataset_digest or None,
        steps=[point.step or 0 for point in points],
        timestamps=[now_ms() if point.timestamp is None else point.timestamp for point in points],
        values=[metric_value(key, point.value) for point in points],
    )
