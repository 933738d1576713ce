"""Points of metrics: their order, and arrays of them as packed bytes.

Packed arrays are little-endian: int64 steps, int64 timestamps, float64 values. NaN and infinities
are kept bit by bit.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from modelyard_kit.errors import InvalidArgument

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


@dataclass(frozen=True, slots=True)
class Logged:
    """One point as it was logged."""

    curve: Curve
    point: Point


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


def checked_point(key: str, point: Point) -> Point:
    """Check what the contract cannot say about a point.

    Raises:
        InvalidArgument: The timestamp is negative.
    """
    if point.timestamp_ms < 0:
        raise InvalidArgument(
            f"Got invalid timestamp {point.timestamp_ms} for metric '{key}' "
            "(timestamp must be a nonnegative integer, Unix time in milliseconds).",
            key=key,
        )
    return point


def checked_curve(curve: Curve) -> Curve:
    """Check that a dataset is named with its digest.

    Raises:
        InvalidArgument: One of the two is missing.
    """
    if bool(curve.dataset_name) != bool(curve.dataset_digest):
        raise InvalidArgument(
            f"Metric '{curve.key}' has the dataset name '{curve.dataset_name}' and digest "
            f"'{curve.dataset_digest}'; set both or neither.",
            key=curve.key,
        )
    return curve


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
