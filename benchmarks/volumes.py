"""Time batches of points and pages of runs, on SQLite and on PostgreSQL.

The services run as for `benchmarks.rpc`. The floor of a batch is one durable commit, that of a page
an empty call; they alternate with the calls, so that a drift of the machine affects both. Quote the
ratios, and the rate of points with the machine. The client's work is part of each time: messages
are built from Python lists, the SDK's batches from entities that exist already, and its pages are
read as entities.

    python -m benchmarks.volumes [rounds] [sqlite|postgresql] [points|pages]
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from benchmarks.measuring import compare, parts, print_row, timed
from benchmarks.platforms import Platform, each_database, make_run

from modelyard import MlflowClient
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.entities import Metric

ROUNDS = 50
RUNS = 1000
_CURVES = 10
_LARGE, _SMALL = 10_000, 1000
_VALUE, _TIME_MS = 0.5, 1_700_000_000_000
_WARM_UP = 2

Point: TypeAlias = tuple[str, int]
"""Key and step."""


def _points(number: int) -> Iterator[list[Point]]:
    """Yield batches of points in the order of a training loop, without repetitions."""
    for first in itertools.count(step=number):
        yield [(f"m{n % _CURVES}", first + n // _CURVES) for n in range(number)]


def _series(points: list[Point]) -> list[pb.MetricSeries]:
    """Return the points as curves."""
    curves = []
    for curve in range(_CURVES):
        steps = [step for _, step in points[curve::_CURVES]]
        times, values = [_TIME_MS] * len(steps), [_VALUE] * len(steps)
        key = points[curve][0]
        curves.append(pb.MetricSeries(key=key, steps=steps, timestamps=times, values=values))
    return curves


def measure_points(platform: Platform, rounds: int) -> None:
    client, rpc = MlflowClient(platform.url), platform.tracking
    run_id = make_run(rpc)

    def entities(points: list[Point]) -> list[Metric]:
        return [Metric(key, _VALUE, _TIME_MS, step) for key, step in points]

    def as_metrics(points: list[Point]) -> None:
        metrics = [pb.Metric(key=k, value=_VALUE, timestamp=_TIME_MS, step=s) for k, s in points]
        rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, metrics=metrics))

    def as_series(points: list[Point]) -> None:
        rpc.LogBatch(pb.LogBatchRequest(run_id=run_id, series=_series(points)))

    def of_series(points: list[Point]) -> None:
        rpc.LogMetricSeries(pb.LogMetricSeriesRequest(run_id=run_id, series=_series(points)))

    def by_sdk(metrics: list[Metric]) -> None:
        client.log_batch(run_id, metrics=metrics)

    def measure(
        name: str, number: int, send: Callable[[Any], None], given: Callable[[Any], Any] = list
    ) -> None:
        pairs = []
        for points in itertools.islice(_points(number), _WARM_UP + rounds):
            batch = given(points)
            pairs.append((timed(lambda: send(batch)), timed(platform.commit)))  # noqa: B023 - called at once
        print_row(f"{name} of {number:,} / commit", pairs[_WARM_UP:], number)

    measure("SDK, log_batch", _LARGE, by_sdk, entities)
    measure("SDK, log_batch", _SMALL, by_sdk, entities)
    measure("LogBatch, series", _LARGE, as_series)
    measure("LogMetricSeries", _LARGE, of_series)
    measure("LogBatch, metrics", _SMALL, as_metrics)


def measure_pages(platform: Platform, rounds: int) -> None:
    client = MlflowClient(platform.url)
    for _ in range(RUNS):
        make_run(platform.tracking)
    request = pb.SearchRunsRequest(experiment_ids=["0"], max_results=RUNS)

    def by_sdk() -> None:
        assert len(client.search_runs(["0"], max_results=RUNS)) == RUNS  # noqa: S101 - checks the benchmark

    def by_stub() -> None:
        platform.tracking.SearchRuns(request)

    compare("SDK, page of 1,000 runs / empty", by_sdk, platform.empty, rounds, _WARM_UP)
    compare("SearchRuns, 1,000 runs / empty", by_stub, platform.empty, rounds, _WARM_UP)


def measure(platform: Platform, rounds: int, asked: Sequence[str]) -> None:
    """Print the table of one database; of the parts that are asked for, if any."""
    title = f"{platform.database}, median of {rounds}"
    print(f"{title:<34}{'ms':>9}{'floor':>9}{'ratio':>8}{'points':>11}")
    measures = {"points": measure_points, "pages": measure_pages}
    for name in measures.keys() & set(asked) or measures:
        measures[name](platform, rounds)
    print()


if __name__ == "__main__":
    rounds, asked = parts(sys.argv[1:], ROUNDS)
    for platform in each_database(asked):
        measure(platform, rounds, asked)
