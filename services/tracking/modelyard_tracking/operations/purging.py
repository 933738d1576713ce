"""Purging: removing deleted experiments, runs and logged models for good.

A purge has two parts, each in small transactions. The claim sets the lifecycle stage to `PURGED`
under the lock of the row, so either the claim or a restoration comes first, and the other one sees
it. From then on the resource does not exist for any caller, its id is recorded, and the name of an
experiment is free. Its rows are removed afterwards; the next purge removes what an interrupted one
left.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, and_, false, func, insert, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelyard_kit.db.base import EXCLUSIVE
from modelyard_kit.rpc.idempotency import KEPT_MS, forget_replies
from modelyard_tracking.models import ArtifactFile, Experiment, LoggedModel, Purged, Run
from modelyard_tracking.operations.origins import Kind
from modelyard_tracking.operations.removing import remove_claimed
from modelyard_tracking.rules.artifacts import OwnerKind
from modelyard_tracking.rules.states import Lifecycle
from modelyard_tracking.rules.values import DEFAULT_EXPERIMENT

_CLAIMED_AT_ONCE = 500

_Resource: TypeAlias = type[Experiment] | type[Run] | type[LoggedModel]
Conditions: TypeAlias = Mapping[Kind, ColumnElement[bool]]
"""Conditions for resources to purge, by kind."""


@dataclass(slots=True)
class Purge:
    """Numbers of purged resources, and of the files in their trees."""

    experiments: int = 0
    runs: int = 0
    logged_models: int = 0
    files: int = 0
    files_bytes: int = 0

    def add(self, other: Purge) -> None:
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class _Claimable(NamedTuple):
    """A table of resources that can be purged."""

    table: _Resource
    key: InstrumentedAttribute[Any]
    counter: str
    """Field of `Purge`."""
    owner: OwnerKind | None
    """Kind of its trees; None if it has none."""


_CLAIMABLE = {
    Kind.EXPERIMENT: _Claimable(Experiment, Experiment.experiment_id, "experiments", None),
    Kind.RUN: _Claimable(Run, Run.run_id, "runs", OwnerKind.RUN),
    Kind.MODEL: _Claimable(LoggedModel, LoggedModel.model_id, "logged_models", OwnerKind.MODEL),
}


def purge_some(session: Session, until_ms: int, now_ms: int) -> tuple[Purge, bool]:
    """Do one step of a purge: remove some rows of claimed resources, or else claim some.

    Args:
        session: Session of the transaction.
        until_ms: Resources deleted up to this time are purged, Unix time in milliseconds.
        now_ms: Time of the purge, Unix time in milliseconds.

    Returns:
        The resources claimed, and whether steps are left.
    """
    if remove_claimed(session):
        return Purge(), True
    claimed = select(Experiment.experiment_id).where(Experiment.lifecycle_stage == Lifecycle.PURGED)
    steps = (_aged(until_ms), _in_experiments(Experiment.experiment_id.in_(claimed)))
    for conditions in steps:
        for kind, condition in conditions.items():
            purge = _claim(session, kind, condition, now_ms, until_ms)
            if purge != Purge():
                return purge, True
    return Purge(), False


def claim(session: Session, kind: Kind, resource_id: str | int, now_ms: int) -> Purge:
    """Claim one resource, deleted or not; the next steps claim and remove what is in it."""
    return _claim(session, kind, _CLAIMABLE[kind].key == resource_id, now_ms, now_ms)


def due(until_ms: int) -> Conditions:
    """Return the conditions for what a purge of resources deleted up to a time would purge."""
    aged = _aged(until_ms)
    inside = _in_experiments(aged[Kind.EXPERIMENT])
    return {kind: or_(condition, inside[kind]) for kind, condition in aged.items()}


def of_one(kind: Kind, resource_id: str | int) -> Conditions:
    """Return the conditions for one resource and what is in it."""
    one = _CLAIMABLE[kind].key == resource_id
    return {kind: one} if kind is not Kind.EXPERIMENT else {**_in_experiments(one), kind: one}


def count(session: Session, conditions: Conditions) -> Purge:
    """Return what a purge of resources would purge."""
    purge = Purge()
    for kind, condition in conditions.items():
        table, key, name, owner = _CLAIMABLE[kind]
        ids = select(key).where(condition, table.lifecycle_stage != Lifecycle.PURGED)
        setattr(purge, name, session.scalar(select(func.count()).select_from(ids.subquery())) or 0)
        if owner is not None:
            purge.add(_files_of(session, owner, ArtifactFile.owner_id.in_(ids)))
    return purge


def _aged(until_ms: int) -> Conditions:
    """Return the conditions for resources that were deleted by themselves up to a time.

    Runs that were deleted with their experiment are purged with it, because a restoration of the
    experiment restores all of them or none. The experiment Default is never purged.
    """
    aged = {
        kind: and_(
            claimable.table.lifecycle_stage == Lifecycle.DELETED,
            claimable.table.deleted_ms <= until_ms,
        )
        for kind, claimable in _CLAIMABLE.items()
    }
    is_default = Run.experiment_id == DEFAULT_EXPERIMENT
    return {
        Kind.EXPERIMENT: and_(
            aged[Kind.EXPERIMENT], Experiment.experiment_id != DEFAULT_EXPERIMENT
        ),
        Kind.RUN: and_(aged[Kind.RUN], or_(~Run.deleted_with_experiment, is_default)),
        Kind.MODEL: aged[Kind.MODEL],
    }


def _in_experiments(condition: ColumnElement[bool]) -> Conditions:
    """Return the conditions for all that is in some experiments."""
    experiments = select(Experiment.experiment_id).where(condition)
    return {
        Kind.EXPERIMENT: false(),
        Kind.RUN: Run.experiment_id.in_(experiments),
        Kind.MODEL: LoggedModel.experiment_id.in_(experiments),
    }


def _claim(
    session: Session, kind: Kind, condition: ColumnElement[bool], now_ms: int, until_ms: int
) -> Purge:
    table, key, name, owner = _CLAIMABLE[kind]
    # A resource that another transaction is changing is left to the next purge.
    lock = {**EXCLUSIVE, "of": table, "skip_locked": True}
    unclaimed = select(key).where(condition, table.lifecycle_stage != Lifecycle.PURGED)
    ids = session.scalars(unclaimed.limit(_CLAIMED_AT_ONCE).with_for_update(**lock)).all()
    if not ids:
        return Purge()
    values: dict[str, Any] = {"lifecycle_stage": Lifecycle.PURGED, "deleted_ms": now_ms}
    if table is Experiment:
        for number in ids:
            renamed = {**values, "name": f"purged {uuid.uuid4()}"}
            _update(session, table, key == number, renamed)
    else:
        _update(session, table, key.in_(ids), values)
    purged = [{"kind": kind, "purged_id": str(id_), "purged_ms": now_ms} for id_ in ids]
    session.execute(insert(Purged), purged)
    if until_ms > now_ms - KEPT_MS and owner is not None:
        forget_replies(session, ids)
    purge = Purge(**{name: len(ids)})
    if owner is not None:
        purge.add(_files_of(session, owner, ArtifactFile.owner_id.in_(ids)))
    return purge


def _update(
    session: Session, table: _Resource, condition: ColumnElement[bool], values: dict[str, Any]
) -> None:
    changed = update(table).where(condition).values(values)
    session.execute(changed.execution_options(synchronize_session=False))


def _files_of(session: Session, kind: OwnerKind, condition: ColumnElement[bool]) -> Purge:
    files, size_bytes = session.execute(
        select(func.count(), func.coalesce(func.sum(ArtifactFile.size_bytes), 0)).where(
            ArtifactFile.owner_kind == kind, condition
        )
    ).one()
    return Purge(files=files, files_bytes=int(size_bytes))
