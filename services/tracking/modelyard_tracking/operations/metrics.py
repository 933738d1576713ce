"""Writing metrics: chunks of points, and the latest point of each curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from modelyard_kit.db.rows import Rows, rows_of
from modelyard_kit.errors import NotFound
from modelyard_tracking.models import MetricChunk
from modelyard_tracking.rules.points import (
    CHUNK_POINTS,
    MERGED_POINTS,
    Columns,
    Curve,
    Packed,
    Point,
)
from modelyard_tracking.statements import metrics as statements
from modelyard_tracking.statements.metrics import Chunk

_FEW_CURVES = 20
"""Up to this number, each curve has a statement of its own: another one reads the index entries of
all chunks of the curves, of which a long curve has thousands."""

Identity: TypeAlias = tuple[str, ...]
"""Logged model, key, name and digest of a dataset."""


def log_points(rows: Rows, run_id: str, curves: Mapping[Curve, Columns]) -> None:
    """Append points to the metrics of an active run.

    Args:
        rows: Rows of the transaction.
        run_id: Id of an active run.
        curves: Checked points of each curve, at least one per curve.

    Raises:
        NotFound: The logged model of a curve does not exist.
    """
    if not curves:
        return
    _require_models(rows, {curve.model_id for curve in curves if curve.model_id})
    _append(rows, run_id, curves)
    latest = {curve: columns.latest() for curve, columns in curves.items()}
    rows.execute_many(
        statements.RAISE_LATEST_OF_RUN,
        [
            {"run_id": run_id, **curve._asdict(), **_latest_values(point)}
            for curve, point in latest.items()
        ],
    )
    _raise_latest_of_models(rows, run_id, latest)


def restore_latest_of_models(session: Session, identities: Iterable[Identity]) -> None:
    """Set the latest points of logged models from the stored points, after rows were removed.

    Args:
        session: Session of the transaction.
        identities: Keys of the removed rows.
    """
    rows = rows_of(session)
    for model_id, key, dataset_name, dataset_digest in identities:
        of_curve = (
            MetricChunk.model_id == model_id,
            MetricChunk.key == key,
            MetricChunk.dataset_name == dataset_name,
            MetricChunk.dataset_digest == dataset_digest,
        )
        newest = select(func.max(MetricChunk.max_step)).where(*of_curve).scalar_subquery()
        curve = Curve(key, model_id, dataset_name, dataset_digest)
        chunks = select(
            MetricChunk.run_id, MetricChunk.steps, MetricChunk.timestamps, MetricChunk.values
        ).where(*of_curve, MetricChunk.max_step == newest)
        for run_id, *packed in session.execute(chunks).all():
            latest = Packed(*packed).columns().latest()
            _raise_latest_of_models(rows, run_id, {curve: latest})


def _require_models(rows: Rows, model_ids: set[str]) -> None:
    if not model_ids:
        return
    found = rows.execute(statements.ACTIVE_MODELS, {"model_ids": model_ids})
    missing = model_ids.difference(model_id for (model_id,) in found)
    if missing:
        raise NotFound(f"Logged model with ID '{min(missing)}' not found.", model_id=min(missing))


def _append(rows: Rows, run_id: str, curves: Mapping[Curve, Columns]) -> None:
    newest = _newest_chunks(rows, run_id, curves)
    extended: list[Mapping[str, Any]] = []
    added: list[Mapping[str, Any]] = []
    for curve, columns in curves.items():
        chunk = newest.get(curve)
        if chunk is None or chunk.point_count + len(columns) > MERGED_POINTS:
            added += [
                {"run_id": run_id, **curve._asdict(), **_contents(piece.packed(), piece)}
                for piece in columns.cut(CHUNK_POINTS)
            ]
            continue
        packed = columns.packed()
        if not chunk.packed.ends_with(packed):
            extended.append(_extended(chunk, packed, columns))
    rows.execute_many(statements.EXTEND_CHUNK, extended)
    rows.execute_many(statements.ADD_CHUNK, added)


def _newest_chunks(rows: Rows, run_id: str, curves: Mapping[Curve, Columns]) -> dict[Curve, Chunk]:
    if len(curves) <= _FEW_CURVES:
        single = [
            (statements.NEWEST_CHUNK, {"run_id": run_id, **curve._asdict()}) for curve in curves
        ]
        return {chunk.curve: chunk for found in rows.execute_all(single) for chunk in found}
    keys = {curve.key for curve in curves}
    found = rows.execute(statements.NEWEST_SMALL_CHUNKS, {"run_id": run_id, "keys": keys})
    return {chunk.curve: chunk for chunk in found}


def _contents(packed: Packed, points: Columns) -> dict[str, Any]:
    """Return the columns of a chunk, with the extent of points."""
    return {
        "point_count": len(points),
        "min_step": min(points.steps),
        "max_step": max(points.steps),
        "min_timestamp_ms": min(points.timestamps_ms),
        "max_timestamp_ms": max(points.timestamps_ms),
        "steps": packed.steps,
        "timestamps": packed.timestamps,
        "values": packed.values,
    }


def _extended(chunk: Chunk, added: Packed, points: Columns) -> dict[str, Any]:
    new = _contents(chunk.packed + added, points)
    return {
        **new,
        "extended_id": chunk.chunk_id,
        "point_count": chunk.point_count + new["point_count"],
        "min_step": min(chunk.min_step, new["min_step"]),
        "max_step": max(chunk.max_step, new["max_step"]),
        "min_timestamp_ms": min(chunk.min_timestamp_ms, new["min_timestamp_ms"]),
        "max_timestamp_ms": max(chunk.max_timestamp_ms, new["max_timestamp_ms"]),
    }


def _raise_latest_of_models(rows: Rows, run_id: str, latest: Mapping[Curve, Point]) -> None:
    """Offer points to the logged models of their curves.

    Several runs may log for one model at the same time. They take its rows in one order, so that
    none waits for one that waits for it.
    """
    rows.execute_many(
        statements.RAISE_LATEST_OF_MODEL,
        [
            {"run_id": run_id, **curve._asdict(), **_latest_values(latest[curve])}
            for curve in sorted(latest)
            if curve.model_id
        ],
    )


def _latest_values(point: Point) -> dict[str, Any]:
    is_nan = math.isnan(point.value)
    return {
        "step": point.step,
        "timestamp_ms": point.timestamp_ms,
        "value": 0.0 if is_nan else point.value,
        "is_nan": is_nan,
    }
