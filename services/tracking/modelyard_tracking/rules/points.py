"""Points of metrics: their order, checks and packed arrays.

Packed arrays are little-endian: int64 steps, int64 timestamps, float64 values. NaN and infinities
are preserved bit by bit.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from modelyard_kit.errors import InvalidArgument
from modelyard_kit.keys import checked_key
from modelyard_tracking.rules.values import checked_model_id

MERGED_POINTS = 128
"""Points are appended to a chunk up to this total; beyond it they start a new chunk.

Each append writes the whole chunk again, 3 KB at most. With 1,024 points, which PostgreSQL
compresses and stores out of line, an append took 2.7 times as long.
"""
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


RawPoint: TypeAlias = tuple[Curve, int, int, float]
"""An unchecked point of a request: curve, timestamp in milliseconds, step and value."""


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
class Columns:
    """Points of one curve as columns of equal length, in logging order."""

    steps: array[int]
    timestamps_ms: array[int]
    values: array[float]

    @classmethod
    def of(
        cls,
        steps: Iterable[int] = (),
        timestamps_ms: Iterable[int] = (),
        values: Iterable[float] = (),
    ) -> Columns:
        return cls(array("q", steps), array("q", timestamps_ms), array("d", values))

    def __len__(self) -> int:
        return len(self.values)

    def extend(self, other: Columns) -> None:
        self.steps.extend(other.steps)
        self.timestamps_ms.extend(other.timestamps_ms)
        self.values.extend(other.values)

    def append(self, timestamp_ms: int, step: int, value: float) -> None:
        self.steps.append(step)
        self.timestamps_ms.append(timestamp_ms)
        self.values.append(value)

    def cut(self, size: int) -> Iterator[Columns]:
        """Return the points in pieces of at most `size` points."""
        if len(self) <= size:
            yield self
            return
        for start in range(0, len(self), size):
            piece = slice(start, start + size)
            yield Columns(self.steps[piece], self.timestamps_ms[piece], self.values[piece])

    def points(self) -> Iterator[Point]:
        return map(Point, self.timestamps_ms, self.steps, self.values)

    def latest(self) -> Point:
        """Return the greatest point by `rank`, of at least one."""
        last = max(self.steps)
        return max(
            (
                Point(self.timestamps_ms[index], step, self.values[index])
                for index, step in enumerate(self.steps)
                if step == last
            ),
            key=rank,
        )

    def packed(self) -> Packed:
        return Packed(_pack(self.steps), _pack(self.timestamps_ms), _pack(self.values))


@dataclass(frozen=True, slots=True)
class Packed:
    """Points as three packed arrays of equal length, in logging order."""

    steps: bytes
    timestamps: bytes
    values: bytes

    def columns(self) -> Columns:
        columns = Columns.of()
        for column, data in (
            (columns.steps, self.steps),
            (columns.timestamps_ms, self.timestamps),
            (columns.values, self.values),
        ):
            column.frombytes(data)
            if sys.byteorder == "big":
                column.byteswap()
        return columns

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


def checked_point(raw: RawPoint) -> tuple[Curve, Columns]:
    """Check a point beyond the rules of the contract; return it as a series of one.

    Raises:
        InvalidArgument: The key or model id is malformed, the timestamp is negative, or only one of
            dataset name and digest is set.
    """
    curve, timestamp_ms, step, value = raw
    _check_curve(curve, (timestamp_ms,), "")
    return curve, Columns.of((step,), (timestamp_ms,), (value,))


def checked_points(points: Iterable[RawPoint], where: str) -> dict[Curve, Columns]:
    """Check points beyond the rules of the contract, and return them by curve.

    Args:
        points: Points of a request.
        where: Name of their field, for errors such as that of `metrics[3].key`.

    Raises:
        InvalidArgument: As for `checked_point`.
    """
    found: dict[Curve, Columns] = {}
    for index, (curve, timestamp_ms, step, value) in enumerate(points):
        columns = found.get(curve)
        if columns is None:
            _check_curve(curve, (timestamp_ms,), f"{where}[{index}].")
            columns = found[curve] = Columns.of()
        elif timestamp_ms < 0:
            raise _negative_time(curve.key, timestamp_ms)
        columns.append(timestamp_ms, step, value)
    return found


def checked_series(curve: Curve, columns: Columns, where: str) -> None:
    """Check a series beyond the rules of the contract.

    Args:
        curve: Curve of the series.
        columns: Its points; the lengths of the columns may differ.
        where: Prefix of field names in errors, such as `series[3].`.

    Raises:
        InvalidArgument: As for `checked_point`, or the columns differ in length.
    """
    lengths = (len(columns.steps), len(columns.timestamps_ms), len(columns.values))
    _check_curve(curve, columns.timestamps_ms, where, lengths)


def add_series(curves: dict[Curve, Columns], series: Iterable[tuple[Curve, Columns]]) -> None:
    """Append series to points by curve; those without points are left out."""
    for curve, columns in series:
        if curve in curves:
            curves[curve].extend(columns)
        elif columns:
            curves[curve] = columns


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
        column = column[:]
        column.byteswap()
    return column.tobytes()


def _check_curve(
    curve: Curve, timestamps_ms: Sequence[int], where: str, lengths: tuple[int, ...] = ()
) -> None:
    checked_key(curve.key, f"{where}key")
    if curve.model_id:
        checked_model_id(curve.model_id)
    if len(set(lengths)) > 1:
        raise InvalidArgument(
            f"Invalid value for parameter '{where}values': there are {lengths[0]} steps, "
            f"{lengths[1]} timestamps and {lengths[2]} values; expected equal numbers.",
            key=curve.key,
        )
    if timestamps_ms and min(timestamps_ms) < 0:
        raise _negative_time(curve.key, next(time for time in timestamps_ms if time < 0))
    if bool(curve.dataset_name) != bool(curve.dataset_digest):
        raise InvalidArgument(
            f"Metric '{curve.key}' has the dataset name '{curve.dataset_name}' and digest "
            f"'{curve.dataset_digest}'; set both or neither.",
            key=curve.key,
        )


def _negative_time(key: str, timestamp_ms: int) -> InvalidArgument:
    return InvalidArgument(
        f"Got invalid timestamp {timestamp_ms} for metric '{key}' "
        "(timestamp must be a nonnegative integer, Unix time in milliseconds).",
        key=key,
    )
