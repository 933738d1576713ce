"""Reading metrics: histories, series and latest values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Row, Select, Table, bindparam, func, select
from sqlalchemy.orm import Session

from modelyard_kit.db import paging
from modelyard_kit.errors import InvalidArgument
from modelyard_tracking.models import LatestModelMetric, MetricChunk
from modelyard_tracking.rules.points import Curve, Packed, Point, history_order

_MALFORMED = (
    "Invalid page_token: expected the next_page_token of an earlier reply, unchanged, "
    "or an empty one for the first page"
)

# Built once, with rows instead of entities: every get and search of models executes it.
_latest_of_models = cast(Table, LatestModelMetric.__table__)
_LATEST_OF_MODELS = (
    select(_latest_of_models)
    .where(_latest_of_models.c.model_id.in_(bindparam("model_ids", expanding=True)))
    .order_by(
        _latest_of_models.c.key,
        _latest_of_models.c.dataset_name,
        _latest_of_models.c.dataset_digest,
    )
)
_chunks = cast(Table, MetricChunk.__table__)
_BY_CURVE = [_chunks.c[name] for name in Curve._fields]


class HistoryPoint(NamedTuple):
    """A point of a run's history, with its dataset. Points sort in history order."""

    timestamp_ms: int
    step: int
    is_nan: bool
    number: float
    """Value of the point; 0 if `is_nan`."""
    dataset_name: str
    dataset_digest: str

    @property
    def value(self) -> float:
        return math.nan if self.is_nan else self.number


def history_page(
    session: Session, run_id: str, key: str, page_token: str, page_size: int
) -> tuple[list[HistoryPoint], str]:
    """Return points of one metric by (timestamp, step, value), and the next page token.

    A point that was logged for several models or repeatedly is returned once. Only the chunks that
    overlap the page are read.
    """
    query = paging.fingerprint("history", run_id, key)
    after = _read_cursor(paging.decode(page_token, query))
    extents = session.execute(
        select(MetricChunk.chunk_id, MetricChunk.min_timestamp_ms)
        .where(
            MetricChunk.run_id == run_id,
            MetricChunk.key == key,
            MetricChunk.max_timestamp_ms >= (after.timestamp_ms if after else 0),
        )
        .order_by(MetricChunk.min_timestamp_ms, MetricChunk.chunk_id)
    ).all()
    found: set[HistoryPoint] = set()
    for chunk_id, min_timestamp_ms in extents:
        # All points of the remaining chunks are later than the page.
        if sum(point.timestamp_ms < min_timestamp_ms for point in found) > page_size:
            break
        found.update(
            point for point in _points_of(session, chunk_id) if after is None or point > after
        )
    in_order = sorted(found)
    page = in_order[:page_size]
    if len(in_order) <= page_size:
        return page, ""
    return page, paging.encode(_write_cursor(page[-1]), query)


def points_of_runs(
    session: Session, run_ids: Iterable[str], key: str, limit: int
) -> list[tuple[str, HistoryPoint]]:
    """Return the first `limit` points of one metric by (run, timestamp, step, value)."""
    found: list[tuple[str, HistoryPoint]] = []
    for run_id in sorted(set(run_ids)):
        if len(found) == limit:
            break
        page, _ = history_page(session, run_id, key, "", limit - len(found))
        found += [(run_id, point) for point in page]
    return found


def series_of_run(session: Session, run_id: str, keys: Sequence[str]) -> dict[Curve, list[Point]]:
    """Return the points of a run's curves by (timestamp, step, value), without duplicates.

    Args:
        session: Session of the transaction.
        run_id: Id of an existing run.
        keys: Keys of the metrics; all metrics if empty.
    """
    found: dict[Curve, list[Point]] = {}
    for chunk in session.execute(_of_runs(select(_chunks), [run_id], keys).order_by(*_BY_CURVE)):
        curve = Curve(chunk.key, chunk.model_id, chunk.dataset_name, chunk.dataset_digest)
        packed = Packed(chunk.steps, chunk.timestamps, chunk.values)
        found.setdefault(curve, []).extend(packed.columns().points())
    return {curve: deduplicated(points) for curve, points in found.items()}


def count_points(session: Session, run_ids: Sequence[str], keys: Sequence[str]) -> int:
    """Return the number of stored points of metrics of runs, including duplicates."""
    counted = _of_runs(select(func.sum(_chunks.c.point_count)), run_ids, keys)
    return session.scalar(counted) or 0


def _of_runs(statement: Select[Any], run_ids: Sequence[str], keys: Sequence[str]) -> Select[Any]:
    statement = statement.where(_chunks.c.run_id.in_(run_ids))
    return statement.where(_chunks.c.key.in_(keys)) if keys else statement


def points_between(
    session: Session, run_id: str, key: str, first_step: int | None, last_step: int | None
) -> list[Point]:
    """Return the points of one metric whose steps are in a closed interval, in history order."""
    query = select(MetricChunk).where(MetricChunk.run_id == run_id, MetricChunk.key == key)
    if first_step is not None:
        query = query.where(MetricChunk.max_step >= first_step)
    if last_step is not None:
        query = query.where(MetricChunk.min_step <= last_step)
    return deduplicated(
        point
        for chunk in session.scalars(query)
        for point in Packed(chunk.steps, chunk.timestamps, chunk.values).columns().points()
        if (first_step is None or point.step >= first_step)
        and (last_step is None or point.step <= last_step)
    )


def latest_of_models(session: Session, model_ids: Sequence[str]) -> dict[str, list[Row[Any]]]:
    """Return rows of `latest_model_metric` for each logged model, by key and dataset."""
    found: dict[str, list[Row[Any]]] = {model_id: [] for model_id in model_ids}
    for row in session.execute(_LATEST_OF_MODELS, {"model_ids": list(model_ids)}):
        found[row.model_id].append(row)
    return found


def deduplicated(points: Iterable[Point]) -> list[Point]:
    """Return points in history order, without duplicates."""
    by_order = {history_order(point): point for point in points}
    return [by_order[order] for order in sorted(by_order)]


def _points_of(session: Session, chunk_id: int) -> Iterator[HistoryPoint]:
    chunk: Any = session.execute(
        select(
            MetricChunk.steps,
            MetricChunk.timestamps,
            MetricChunk.values,
            MetricChunk.dataset_name,
            MetricChunk.dataset_digest,
        ).where(MetricChunk.chunk_id == chunk_id)
    ).one()
    steps, timestamps, values, dataset_name, dataset_digest = chunk
    for timestamp_ms, step, value in Packed(steps, timestamps, values).columns().points():
        is_nan = math.isnan(value)
        number = 0.0 if is_nan else value
        yield HistoryPoint(timestamp_ms, step, is_nan, number, dataset_name, dataset_digest)


def _write_cursor(point: HistoryPoint) -> paging.Cursor:
    # Hexadecimal text, which is exact and can express infinities, unlike JSON numbers.
    return (
        point.timestamp_ms,
        point.step,
        int(point.is_nan),
        point.number.hex(),
        point.dataset_name,
        point.dataset_digest,
    )


def _read_cursor(cursor: paging.Cursor | None) -> HistoryPoint | None:
    match cursor:
        case None:
            return None
        case (int(timestamp_ms), int(step), int(is_nan), str(number), str(name), str(digest)):
            value = _from_hex(number)
            return HistoryPoint(timestamp_ms, step, bool(is_nan), value, name, digest)
    raise InvalidArgument(_MALFORMED)


def _from_hex(text: str) -> float:
    try:
        return float.fromhex(text)
    except (ValueError, OverflowError):
        raise InvalidArgument(_MALFORMED) from None
