"""Reading metrics: what a run's or a model's curves look like."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard_kit import paging
from modelyard_kit.errors import InvalidArgument
from modelyard_tracking.models import LatestMetric, LatestModelMetric, MetricChunk
from modelyard_tracking.rules.points import Curve, Packed, Point, history_order


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A point of a run's history, with the data it was computed on."""

    point: Point
    dataset_name: str
    dataset_digest: str


_NOT_OURS = (
    "Invalid page_token: expected the next_page_token of an earlier answer, unchanged, "
    "or an empty one for the first page"
)

_Order: TypeAlias = tuple[tuple[int, int, bool, float], str, str]


def history_page(
    session: Session, run_id: str, key: str, page_token: str, page_size: int
) -> tuple[list[CurvePoint], str]:
    """Return points of one metric by (timestamp, step, value), and the token of the next page.

    A point logged for several models is one point; so is one logged twice. Only the chunks that
    overlap the page are read.
    """
    query = paging.fingerprint("history", run_id, key)
    after = _read_cursor(paging.decode(page_token, query))
    earliest_ms = after[0][0] if after else 0
    extents = session.execute(
        select(MetricChunk.chunk_id, MetricChunk.min_timestamp_ms)
        .where(
            MetricChunk.run_id == run_id,
            MetricChunk.key == key,
            MetricChunk.max_timestamp_ms >= earliest_ms,
        )
        .order_by(MetricChunk.min_timestamp_ms, MetricChunk.chunk_id)
    ).all()
    found: dict[_Order, CurvePoint] = {}
    for chunk_id, min_timestamp_ms in extents:
        if len(found) > page_size:
            in_order = sorted(found)
            if in_order[page_size][0][0] < min_timestamp_ms:
                break  # all that comes now is later than the page
        for point in _points_of(session, chunk_id):
            order = _order(point)
            if after is None or order > after:
                found[order] = point
    in_order = sorted(found)
    page = [found[order] for order in in_order[:page_size]]
    if len(in_order) <= page_size:
        return page, ""
    return page, paging.encode(_write_cursor(in_order[page_size - 1]), query)


def series_of_runs(
    session: Session, run_ids: Sequence[str], keys: Sequence[str]
) -> dict[str, dict[Curve, list[Point]]]:
    """Return the curves of runs: each one's points by (timestamp, step, value), without doubles.

    Args:
        session: The transaction.
        run_ids: Runs that exist.
        keys: Which metrics; all of them if empty.
    """
    query = select(MetricChunk).where(MetricChunk.run_id.in_(run_ids))
    if keys:
        query = query.where(MetricChunk.key.in_(keys))
    found: dict[str, dict[Curve, list[Point]]] = {run_id: {} for run_id in run_ids}
    for chunk in session.scalars(query.order_by(MetricChunk.key, MetricChunk.chunk_id)):
        curve = Curve(chunk.key, chunk.model_id, chunk.dataset_name, chunk.dataset_digest)
        packed = Packed(chunk.steps, chunk.timestamps, chunk.values)
        found[chunk.run_id].setdefault(curve, []).extend(packed.points())
    for curves in found.values():
        for curve, points in curves.items():
            curves[curve] = without_doubles(points)
    return found


def points_between(
    session: Session, run_id: str, key: str, first_step: int | None, last_step: int | None
) -> list[Point]:
    """Return the points of one metric whose steps are in a closed interval, in history order."""
    query = select(MetricChunk).where(MetricChunk.run_id == run_id, MetricChunk.key == key)
    if first_step is not None:
        query = query.where(MetricChunk.max_step >= first_step)
    if last_step is not None:
        query = query.where(MetricChunk.min_step <= last_step)
    return without_doubles(
        point
        for chunk in session.scalars(query)
        for point in Packed(chunk.steps, chunk.timestamps, chunk.values).points()
        if (first_step is None or point.step >= first_step)
        and (last_step is None or point.step <= last_step)
    )


def latest_of_runs(session: Session, run_ids: Sequence[str]) -> dict[str, list[LatestMetric]]:
    found: dict[str, list[LatestMetric]] = {run_id: [] for run_id in run_ids}
    for row in session.scalars(
        select(LatestMetric).where(LatestMetric.run_id.in_(run_ids)).order_by(LatestMetric.key)
    ):
        found[row.run_id].append(row)
    return found


def latest_of_models(
    session: Session, model_ids: Sequence[str]
) -> dict[str, list[LatestModelMetric]]:
    found: dict[str, list[LatestModelMetric]] = {model_id: [] for model_id in model_ids}
    for row in session.scalars(
        select(LatestModelMetric)
        .where(LatestModelMetric.model_id.in_(model_ids))
        .order_by(
            LatestModelMetric.key,
            LatestModelMetric.dataset_name,
            LatestModelMetric.dataset_digest,
        )
    ):
        found[row.model_id].append(row)
    return found


def without_doubles(points: Iterable[Point]) -> list[Point]:
    """Return points in history order, each once."""
    by_order = {history_order(point): point for point in points}
    return [by_order[order] for order in sorted(by_order)]


def _points_of(session: Session, chunk_id: int) -> Iterable[CurvePoint]:
    row: Any = session.execute(
        select(
            MetricChunk.steps,
            MetricChunk.timestamps,
            MetricChunk.values,
            MetricChunk.dataset_name,
            MetricChunk.dataset_digest,
        ).where(MetricChunk.chunk_id == chunk_id)
    ).one()
    steps, timestamps, values, dataset_name, dataset_digest = row
    for point in Packed(steps, timestamps, values).points():
        yield CurvePoint(point, dataset_name, dataset_digest)


def _order(found: CurvePoint) -> _Order:
    return (history_order(found.point), found.dataset_name, found.dataset_digest)


def _write_cursor(order: _Order) -> paging.Cursor:
    (timestamp_ms, step, is_nan, value), name, digest = order
    # As text: JSON has no infinities, and a float's shortest form is exact.
    return (timestamp_ms, step, int(is_nan), value.hex(), name, digest)


def _read_cursor(cursor: paging.Cursor | None) -> _Order | None:
    match cursor:
        case None:
            return None
        case (int(timestamp_ms), int(step), int(is_nan), str(value), str(name), str(digest)):
            return ((timestamp_ms, step, bool(is_nan), _from_hex(value)), name, digest)
    raise InvalidArgument(_NOT_OURS)


def _from_hex(text: str) -> float:
    try:
        return float.fromhex(text)
    except (ValueError, OverflowError):
        raise InvalidArgument(_NOT_OURS) from None
