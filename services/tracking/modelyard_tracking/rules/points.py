"""Points of metrics: their order, and arrays of them as packed bytes.

Packed arrays are little-endian: int64 steps, int64 timestamps, float64 values. NaN and infinities
are kept bit by bit.
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
"""Chunks are merged while they have at most this many points together."""
CHUNK_POINTS = 4_096
"""A longer series is cut into chunks of this size."""


class Curve(NamedTuple):
    """What the points of one chunk have in common; an empty text means none."""

    key: str
    model_id: str
    dataset_name: str
    dataset_digest: str


class Point(NamedTuple):
    """One point of a curve. Its order is that of a metric's history."""

    timestamp_ms: int
    step: int
    value: float


class RawPoint(NamedTuple):
    """A point as a request gives it, not checked yet."""

    curve: Curve
    timestamp_ms: int
    step: int
    value: float


class RawSeries(NamedTuple):
    """Points of one curve as a request gives them, not checked yet."""

    curve: Curve
    timestamps_ms: Sequence[int]
    steps: Sequence[int]
    values: Sequence[float]


Rank: TypeAlias = tuple[int, int, bool, float]


def rank(point: Point) -> Rank:
    """Order points by how recent they are: by step, then time, then value.

    The greatest is the metric's latest value. NaN is smaller than every number, so that of two
    values at one instant the number is seen.
    """
    is_number = not math.isnan(point.value)
    return (point.step, point.timestamp_ms, is_number, point.value if is_number else 0.0)


def history_order(point: Point) -> tuple[int, int, bool, float]:
    """Order points as a metric's history does; of one instant and step NaN comes last."""
    is_nan = math.isnan(point.value)
    return (point.timestamp_ms, point.step, is_nan, 0.0 if is_nan else point.value)


@dataclass(frozen=True, slots=True)
class Packed:
    """Points as three arrays of equal length, in the order they were logged."""

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
        """Whether these are the newest points already: a batch that came again."""
        return (
            self.steps.endswith(other.steps)
            and self.timestamps.endswith(other.timestamps)
            and self.values.endswith(other.values)
        )


def checked(raw: RawPoint, where: str) -> tuple[Curve, list[Point]]:
    """Check what the contract cannot say about a point; return it as a series of one.

    Args:
        raw: The point.
        where: What its fields begin with in messages, such as `metrics[3].`.

    Raises:
        InvalidArgument: The key is no metric's, the model id is none, the
            timestamp is negative, or a dataset has a name without a digest or the reverse.
    """
    key = checked_key(raw.curve.key, f"{where}key")
    _check_model(raw.curve)
    _check_time(key, raw.timestamp_ms)
    _check_dataset(raw.curve)
    return raw.curve, [Point(raw.timestamp_ms, raw.step, raw.value)]


def checked_series(raw: RawSeries, where: str) -> tuple[Curve, list[Point]]:
    """Check what the contract cannot say about a series, and return its points.

    Args:
        raw: The series.
        where: What its fields begin with in messages, such as `series[3].`.

    Raises:
        InvalidArgument: As of `checked`, or the columns differ in length.
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
    """Return points by curve, in the order they came; without curves that have none."""
    found: dict[Curve, list[Point]] = {}
    for curve, points in series:
        if points:
            found.setdefault(curve, []).extend(points)
    return found


def sample(points: Sequence[Point], most: int) -> Sequence[Point]:
    """Return at most `most` points, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return points
    if most == 1:
        return points[-1:]
    last = len(points) - 1
    return [points[round(index * last / (most - 1))] for index in range(most)]


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
