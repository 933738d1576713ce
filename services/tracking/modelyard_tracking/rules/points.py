"""Points of metrics: their order, checks and packed arrays.

Packed arrays are little-endian: int64 steps, int64 timestamps, float64 values. NaN and infinities
are preserved bit by bit.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.keys import checked_key
from modelyard_tracking.rules.values import checked_model_id

MERGED_POINTS = 1_024
"""Points are appended to a chunk up to this total; beyond it they start a new chunk."""
CHUNK_POINTS = 4_096
"""Maximum number of points of a chunk; a longer series is split."""


class Curve(NamedTuple):
    """The common fields of the points of one chunk; an empty text means none."""

    key: str
    model_id: str
    dataset_name: str
    dataset_digest: str


class Point(NamedTuple):
    """One point of a curve; fields are in the order of a metric's history."""

    timestamp_ms: int
    step: int
    value: float


class RawPoint(NamedTuple):
    """An unchecked point of a request."""

    curve: Curve
    timestamp_ms: int
    step: int
    value: float


class RawSeries(NamedTuple):
    """Unchecked points of one curve of a request."""

    curve: Curve
    timestamps_ms: Sequence[int]
    steps: Sequence[int]
    values: Sequence[float]


Rank: TypeAlias = tuple[int, int, bool, float]


def rank(point: Point) -> Rank:
    """Return the key that orders points by recency: by step, then time, then value.

    The greatest point is the metric's latest value. NaN is less than every number, so that a number
    is preferred to NaN at the same step and time.
    """
    is_number = not math.isnan(point.value)
    return (point.step, point.timestamp_ms, is_number, point.value if is_number else 0.0)


def history_order(point: Point) -> tuple[int, int, bool, float]:
    """Return the key of a metric's history order; NaN comes last at the same time and step."""
    is_nan = math.isnan(point.value)
    return (point.timestamp_ms, point.step, is_nan, 0.0 if is_nan else point.value)


@dataclass(frozen=True, slots=True)
class Packed:
    """Points as three arrays of equal length, in logging order."""

    steps: bytes
    timestamps: bytes
    values: bytes

    @classmethod
    def of(cls, points: Sequence[Point]) -> Packed:
        return cls(
            _pack(array("q", [point.step for point in points])),
            _pack(array("q", [point.timestamp_ms for point in points])),
            _pack(array("d", [point.value for point in points])),
        )

    def points(self) -> Iterable[Point]:
        steps: array[int] = array("q")
        timestamps: array[int] = array("q")
        values: array[float] = array("d")
        columns: tuple[tuple[array[Any], bytes], ...] = (
            (steps, self.steps),
            (timestamps, self.timestamps),
            (values, self.values),
        )
        for column, data in columns:
            column.frombytes(data)
            if sys.byteorder == "big":
                column.byteswap()
        return map(Point, timestamps, steps, values)

    def __add__(self, other: Packed) -> Packed:
        return Packed(
            self.steps + other.steps,
            self.timestamps + other.timestamps,
            self.values + other.values,
        )

    def ends_with(self, other: Packed) -> bool:
        """Return whether the newest points equal `other`, which is then a repeated batch."""
        return (
            self.steps.endswith(other.steps)
            and self.timestamps.endswith(other.timestamps)
            and self.values.endswith(other.values)
        )


def checked(raw: RawPoint, where: str) -> tuple[Curve, list[Point]]:
    """Check a point beyond the rules of the contract; return it as a series of one.

    Args:
        raw: Point to check.
        where: Prefix of field names in errors, such as `metrics[3].`.

    Raises:
        InvalidArgument: The key or model id is malformed, the timestamp is negative, or only one of
            dataset name and digest is set.
    """
    key = checked_key(raw.curve.key, f"{where}key")
    _check_model(raw.curve)
    _check_time(key, raw.timestamp_ms)
    _check_dataset(raw.curve)
    return raw.curve, [Point(raw.timestamp_ms, raw.step, raw.value)]


def checked_series(raw: RawSeries, where: str) -> tuple[Curve, list[Point]]:
    """Check a series beyond the rules of the contract, and return its points.

    Args:
        raw: Series to check.
        where: Prefix of field names in errors, such as `series[3].`.

    Raises:
        InvalidArgument: As for `checked`, or the columns differ in length.
    """
    key = checked_key(raw.curve.key, f"{where}key")
    _check_model(raw.curve)
    lengths = (len(raw.steps), len(raw.timestamps_ms), len(raw.values))
    if len(set(lengths)) != 1:
        raise InvalidArgument(
            f"Invalid value for parameter '{where}values': there are {lengths[0]} steps, "
            f"{lengths[1]} timestamps and {lengths[2]} values; expected equal numbers.",
            key=key,
        )
    for timestamp_ms in raw.timestamps_ms:
        _check_time(key, timestamp_ms)
    _check_dataset(raw.curve)
    return raw.curve, list(map(Point, raw.timestamps_ms, raw.steps, raw.values))


def grouped(series: Iterable[tuple[Curve, Sequence[Point]]]) -> Mapping[Curve, list[Point]]:
    """Return points by curve, in the given order; curves without points are left out."""
    found: dict[Curve, list[Point]] = {}
    for curve, points in series:
        if points:
            found.setdefault(curve, []).extend(points)
    return found


def sample(points: Sequence[Point], limit: int) -> Sequence[Point]:
    """Return at most `limit` points, evenly spread, including the first and the last."""
    if len(points) <= limit:
        return points
    if limit == 1:
        return points[-1:]
    last = len(points) - 1
    return [points[round(index * last / (limit - 1))] for index in range(limit)]


def _pack(column: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def _check_model(curve: Curve) -> None:
    if curve.model_id:
        checked_model_id(curve.model_id)


def _check_time(key: str, timestamp_ms: int) -> None:
    if timestamp_ms < 0:
        raise InvalidArgument(
            f"Got invalid timestamp {timestamp_ms} for metric '{key}' "
            "(timestamp must be a nonnegative integer, Unix time in milliseconds).",
            key=key,
        )


def _check_dataset(curve: Curve) -> None:
    if bool(curve.dataset_name) != bool(curve.dataset_digest):
        raise InvalidArgument(
            f"Metric '{curve.key}' has the dataset name '{curve.dataset_name}' and digest "
            f"'{curve.dataset_digest}'; set both or neither.",
            key=curve.key,
        )
