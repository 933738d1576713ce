"""Writing metrics: chunks of points, and the latest point of each curve.

Uses SQLAlchemy Core throughout, because logging is the hottest path of the service.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from sqlalchemy import (
    Connection,
    Row,
    RowMapping,
    Table,
    bindparam,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from modelyard_kit.db.base import EXCLUSIVE, LATER, UNLOCKED, Lock
from modelyard_kit.errors import NotFound
from modelyard_tracking.models import LatestMetric, LatestModelMetric, LoggedModel, MetricChunk
from modelyard_tracking.rules.points import (
    CHUNK_POINTS,
    MERGED_POINTS,
    Curve,
    Packed,
    Point,
    Rank,
    rank,
)
from modelyard_tracking.rules.states import Lifecycle

Identity: TypeAlias = tuple[str, ...]

# The statements are built once: building one takes longer than running it.
_chunks = cast(Table, MetricChunk.__table__)
_NEWEST_SMALL_CHUNKS = select(_chunks).where(
    _chunks.c.chunk_id.in_(
        select(func.max(_chunks.c.chunk_id))
        .where(
            _chunks.c.run_id == bindparam("of_run"),
            _chunks.c.key.in_(bindparam("of_keys", expanding=True)),
        )
        .group_by(*(_chunks.c[name] for name in Curve._fields))
    ),
    _chunks.c.point_count < MERGED_POINTS,
)
_ADD_CHUNKS = insert(_chunks)
_EXTEND_CHUNKS = (
    update(_chunks)
    .where(_chunks.c.chunk_id == bindparam("extended_id"))
    .values(
        {
            name: bindparam(name)
            for name in (
                "steps",
                "timestamps",
                "values",
                "point_count",
                "min_step",
                "max_step",
                "min_timestamp_ms",
                "max_timestamp_ms",
            )
        }
    )
    .execution_options(**LATER)
)


class _Latest:
    """The statements of a table of latest points, by its primary key."""

    def __init__(self, table: Table, lock: Lock) -> None:
        self.identity = [column.name for column in table.primary_key.columns]
        columns = list(table.primary_key.columns)
        self.find = select(
            *columns, table.c.step, table.c.timestamp_ms, table.c.value, table.c.is_nan
        ).where(tuple_(*columns).in_(bindparam("identities", expanding=True)))
        if lock is not None:
            self.find = self.find.order_by(*columns).with_for_update(**lock)
        self.add = insert(table)
        self.replace = (
            update(table)
            .where(*(column == bindparam(f"of_{column.name}") for column in columns))
            .values(
                {
                    column.name: bindparam(column.name)
                    for column in table.columns
                    if not column.primary_key
                }
            )
            .execution_options(**LATER)
        )


# Calls that log to a run hold its lock, but several runs may log for one model at the same time.
_latest_of_runs = _Latest(cast(Table, LatestMetric.__table__), UNLOCKED)
_latest_of_models = _Latest(cast(Table, LatestModelMetric.__table__), EXCLUSIVE)


def log_points(session: Session, run_id: str, curves: Mapping[Curve, Sequence[Point]]) -> None:
    """Append points to the metrics of an active run.

    Args:
        session: Session of the transaction.
        run_id: Id of an active run.
        curves: Checked points of each curve in logging order, at least one per curve.

    Raises:
        NotFound: The logged model of a curve does not exist.
    """
    if not curves:
        return
    connection = session.connection()
    _require_models(session, {curve.model_id for curve in curves if curve.model_id})
    _append(connection, run_id, curves)
    _update_latest_of_run(connection, run_id, curves)
    _update_latest_of_models(connection, run_id, curves)


def restore_latest_of_models(session: Session, identities: Iterable[Identity]) -> None:
    """Set the latest points of logged models from the stored points, after rows were removed.

    Args:
        session: Session of the transaction.
        identities: Keys of the removed rows.
    """
    connection = session.connection()
    for model_id, key, dataset_name, dataset_digest in identities:
        of_curve = (
            _chunks.c.model_id == model_id,
            _chunks.c.key == key,
            _chunks.c.dataset_name == dataset_name,
            _chunks.c.dataset_digest == dataset_digest,
        )
        newest = select(func.max(_chunks.c.max_step)).where(*of_curve).scalar_subquery()
        curve = Curve(key, model_id, dataset_name, dataset_digest)
        for chunk in connection.execute(
            select(_chunks).where(*of_curve, _chunks.c.max_step == newest)
        ):
            points = list(Packed(chunk.steps, chunk.timestamps, chunk.values).points())
            _update_latest_of_models(connection, chunk.run_id, {curve: points})


def _require_models(session: Session, model_ids: set[str]) -> None:
    if not model_ids:
        return
    found = session.scalars(
        select(LoggedModel.model_id).where(
            LoggedModel.model_id.in_(model_ids), LoggedModel.lifecycle_stage == Lifecycle.ACTIVE
        )
    )
    missing = model_ids.difference(found)
    if missing:
        raise NotFound(f"Logged model with ID '{min(missing)}' not found.", model_id=min(missing))


def _append(connection: Connection, run_id: str, curves: Mapping[Curve, Sequence[Point]]) -> None:
    newest = _newest_small_chunks(connection, run_id, curves)
    extended: list[dict[str, Any]] = []
    added: list[dict[str, Any]] = []
    for curve, points in curves.items():
        chunk = newest.get(curve)
        packed = Packed.of(points)
        if chunk is None or chunk.point_count + len(points) > MERGED_POINTS:
            added += _cut(run_id, curve, points)
            continue
        present = Packed(chunk.steps, chunk.timestamps, chunk.values)
        if not present.ends_with(packed):
            extended.append(_extended(chunk, present + packed, points))
    if extended:
        connection.execute(_EXTEND_CHUNKS, extended)
    if added:
        connection.execute(_ADD_CHUNKS, added)


def _newest_small_chunks(
    connection: Connection, run_id: str, curves: Iterable[Curve]
) -> dict[Curve, Row[Any]]:
    keys = list({curve.key for curve in curves})
    found = connection.execute(_NEWEST_SMALL_CHUNKS, {"of_run": run_id, "of_keys": keys})
    return {
        Curve(row.key, row.model_id, row.dataset_name, row.dataset_digest): row for row in found
    }


def _cut(run_id: str, curve: Curve, points: Sequence[Point]) -> list[dict[str, Any]]:
    pieces = [points[start : start + CHUNK_POINTS] for start in range(0, len(points), CHUNK_POINTS)]
    return [
        {"run_id": run_id, **curve._asdict(), **_contents(Packed.of(piece)), **_extent(piece)}
        for piece in pieces
    ]


def _extended(chunk: Row[Any], packed: Packed, points: Sequence[Point]) -> dict[str, Any]:
    new = _extent(points)
    return {
        "extended_id": chunk.chunk_id,
        **_contents(packed),
        "point_count": chunk.point_count + new["point_count"],
        "min_step": min(chunk.min_step, new["min_step"]),
        "max_step": max(chunk.max_step, new["max_step"]),
        "min_timestamp_ms": min(chunk.min_timestamp_ms, new["min_timestamp_ms"]),
        "max_timestamp_ms": max(chunk.max_timestamp_ms, new["max_timestamp_ms"]),
    }


def _contents(packed: Packed) -> dict[str, bytes]:
    return {
        "steps": packed.steps,
        "timestamps": packed.timestamps,
        "values": packed.values,
    }


def _extent(points: Sequence[Point]) -> dict[str, int]:
    steps = [point.step for point in points]
    times = [point.timestamp_ms for point in points]
    return {
        "point_count": len(points),
        "min_step": min(steps),
        "max_step": max(steps),
        "min_timestamp_ms": min(times),
        "max_timestamp_ms": max(times),
    }


def _update_latest_of_run(
    connection: Connection, run_id: str, curves: Mapping[Curve, Sequence[Point]]
) -> None:
    newest: dict[Identity, tuple[Curve, Point]] = {}
    for curve, points in curves.items():
        _offer(newest, (run_id, curve.key), curve, max(points, key=rank))
    rows = {
        identity: {
            "model_id": curve.model_id,
            "dataset_name": curve.dataset_name,
            "dataset_digest": curve.dataset_digest,
            **_latest_values(point),
        }
        for identity, (curve, point) in newest.items()
    }
    _update_latest(connection, _latest_of_runs, rows)


def _update_latest_of_models(
    connection: Connection, run_id: str, curves: Mapping[Curve, Sequence[Point]]
) -> None:
    newest: dict[Identity, tuple[Curve, Point]] = {}
    for curve, points in curves.items():
        if curve.model_id:
            identity = (curve.model_id, curve.key, curve.dataset_name, curve.dataset_digest)
            _offer(newest, identity, curve, max(points, key=rank))
    rows = {
        identity: {"run_id": run_id, **_latest_values(point)}
        for identity, (_, point) in newest.items()
    }
    _update_latest(connection, _latest_of_models, rows)


def _offer(
    newest: dict[Identity, tuple[Curve, Point]], identity: Identity, curve: Curve, point: Point
) -> None:
    if identity not in newest or rank(point) > rank(newest[identity][1]):
        newest[identity] = (curve, point)


def _latest_values(point: Point) -> dict[str, Any]:
    is_nan = math.isnan(point.value)
    return {
        "step": point.step,
        "timestamp_ms": point.timestamp_ms,
        "value": 0.0 if is_nan else point.value,
        "is_nan": is_nan,
    }


def _update_latest(
    connection: Connection, table: _Latest, rows: Mapping[Identity, dict[str, Any]]
) -> None:
    """Insert or replace each row whose point is newer than the stored one.

    Args:
        connection: Connection of the transaction.
        table: Table to write to.
        rows: Values of the other columns, by primary key.
    """
    if not rows:
        return
    names = table.identity
    present = {
        tuple(row[: len(names)]): _rank_of(row._mapping)  # noqa: SLF001 - public
        for row in connection.execute(table.find, {"identities": list(rows)})
    }
    added = [
        {**dict(zip(names, identity, strict=True)), **row}
        for identity, row in rows.items()
        if identity not in present
    ]
    newer = [
        {**{f"of_{name}": part for name, part in zip(names, identity, strict=True)}, **row}
        for identity, row in rows.items()
        if identity in present and _rank_of(row) > present[identity]
    ]
    if added:
        connection.execute(table.add, added)
    if newer:
        connection.execute(table.replace, newer)


def _rank_of(row: Mapping[str, Any] | RowMapping) -> Rank:
    value = math.nan if row["is_nan"] else row["value"]
    return rank(Point(row["timestamp_ms"], row["step"], value))
