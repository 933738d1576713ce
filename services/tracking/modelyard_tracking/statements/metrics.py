"""Statements of metrics: chunks of points, and the latest point of each curve."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Table, bindparam, func, not_, select, tuple_, update

from modelyard_kit.db.statements import Statement, among, inserting, listed, upsert
from modelyard_tracking.models import LatestMetric, LatestModelMetric, LoggedModel, MetricChunk
from modelyard_tracking.rules.points import MERGED_POINTS, Curve, Packed
from modelyard_tracking.rules.states import Lifecycle
from modelyard_tracking.search.restriction import RESTRICTIONS

_chunks = cast(Table, MetricChunk.__table__)
_models = cast(Table, LoggedModel.__table__)


class Chunk(NamedTuple):
    """A chunk of points of a run; the fields are columns of its table."""

    chunk_id: int
    key: str
    model_id: str
    dataset_name: str
    dataset_digest: str
    point_count: int
    min_step: int
    max_step: int
    min_timestamp_ms: int
    max_timestamp_ms: int
    steps: bytes
    timestamps: bytes
    values: bytes

    @property
    def curve(self) -> Curve:
        return Curve(self.key, self.model_id, self.dataset_name, self.dataset_digest)

    @property
    def packed(self) -> Packed:
        return Packed(self.steps, self.timestamps, self.values)


_CONTENTS = Chunk._fields[Chunk._fields.index("point_count") :]
_chunk = select(*(_chunks.c[name] for name in Chunk._fields))
_of_run = _chunks.c.run_id == bindparam("run_id")

NEWEST_CHUNK = Statement(
    _chunk.where(_of_run, *(_chunks.c[name] == bindparam(name) for name in Curve._fields))
    .order_by(_chunks.c.chunk_id.desc())
    .limit(1),
    Chunk,
)
"""The newest chunk of one curve, found without a look at the others."""
NEWEST_SMALL_CHUNKS = Statement(
    _chunk.where(
        _chunks.c.chunk_id.in_(
            select(func.max(_chunks.c.chunk_id))
            .where(_of_run, among(_chunks.c.key, listed("keys")))
            .group_by(*(_chunks.c[name] for name in Curve._fields))
        ),
        _chunks.c.point_count < MERGED_POINTS,
    ),
    Chunk,
)
"""The newest chunks of all curves with some keys, unless they are full."""
ADD_CHUNK = Statement[tuple[()]](inserting(_chunks, "run_id", *Curve._fields, *_CONTENTS))
EXTEND_CHUNK = Statement[tuple[()]](
    update(_chunks)
    .where(_chunks.c.chunk_id == bindparam("extended_id"))
    .values({name: bindparam(name) for name in _CONTENTS}),
    later=True,
)
ACTIVE_MODELS = Statement[tuple[str]](
    select(_models.c.model_id).where(
        among(_models.c.model_id, listed("model_ids")),
        _models.c.lifecycle_stage == Lifecycle.ACTIVE,
    ),
    restrictions=RESTRICTIONS,
)


def _rank(points: Any) -> ColumnElement[Any]:
    """Express `rules.points.rank`."""
    return tuple_(points.step, points.timestamp_ms, not_(points.is_nan), points.value)


def _raise_latest(table: Table) -> Statement[tuple[()]]:
    """Return the statement that adds a latest point, or replaces one that ranks below it."""
    new = upsert(table).values({column.name: bindparam(column.name) for column in table.c})
    return Statement(
        new.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={
                column.name: new.excluded[column.name]
                for column in table.columns
                if not column.primary_key
            },
            where=_rank(new.excluded) > _rank(table.c),
        )
    )


RAISE_LATEST_OF_RUN = _raise_latest(cast(Table, LatestMetric.__table__))
RAISE_LATEST_OF_MODEL = _raise_latest(cast(Table, LatestModelMetric.__table__))
