"""Moving versions between stages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from modelyard_kit.references.stages import Stage
from modelyard_kit.rpc.calls import Call
from modelyard_registry.metrics import transitions
from modelyard_registry.models import ModelVersion
from modelyard_registry.operations.changes import Change
from modelyard_registry.operations.damage import refuse_damaged
from modelyard_registry.operations.model_versions import TO_SHOW, get_version
from modelyard_registry.operations.rollbacks import reinstated
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.names import check_etag
from modelyard_registry.rules.stages import check_exclusive, check_holder


def transition_stage(
    call: Call,
    name: str,
    number: int,
    stage: Stage,
    *,
    archive_existing: bool,
    etag: str,
    expected_holder: str,
    comment: str,
) -> ModelVersion:
    """Move a version to a stage, and the present holder of an exclusive stage to None.

    Args:
        call: Call that makes the change.
        name: Name of the model.
        number: Number of the version.
        stage: Target stage; the version may already be in it.
        archive_existing: Move the present holder to Archived instead of None.
        etag: Expected etag of the version; empty for any.
        expected_holder: Number of the version expected to hold the stage, "none" for a vacant
            stage, or empty for any.
        comment: Reason for the change, stored in the history.
    """
    if archive_existing:
        check_exclusive(stage, "archive_existing_versions")
    if expected_holder:
        check_exclusive(stage, "expected_holder")
    change, model = Change.begin(call, name)
    version, occupant = _version_and_holder(call.session, name, number, stage)
    _count(call.session, version.stage, stage)
    check_etag(etag, version.etag)
    check_holder(stage, expected_holder, _number(occupant))
    if stage.is_exclusive:
        refuse_damaged(version)
    if occupant is not None and occupant is not version:
        vacant = Stage.ARCHIVED if archive_existing else Stage.NONE
        occupy(change, occupant, vacant, updated_ms=call.now_ms)
    change.note_stage(version)
    occupy(change, version, stage, updated_ms=call.now_ms)
    change.set(model, updated_ms=call.now_ms)
    change.record(Action.STAGE_CHANGED, number, comment)
    return version


def roll_back(
    call: Call,
    name: str,
    stage: Stage,
    *,
    to: int | None = None,
    expected_holder: str,
    comment: str,
) -> ModelVersion:
    """Reinstate an earlier holder of a stage, and archive the present one.

    Args:
        call: Call that makes the change.
        name: Name of the model.
        stage: An exclusive stage.
        to: Number of the earlier holder; None for the newest that no rollback took out since its
            last ordinary transition into the stage.
        expected_holder: As in `transition_stage`.
        comment: Reason for the change, stored in the history.

    Raises:
        FailedPrecondition: No such version exists and is ready; the message lists what `to` can be.
    """
    check_exclusive(stage, "A rollback")
    change, model = Change.begin(call, name)
    present = holder(call.session, name, stage)
    check_holder(stage, expected_holder, _number(present))
    earlier = reinstated(call.session, name, stage, _number(present), to)
    _count(call.session, earlier.stage, stage)
    if present is not None:
        occupy(change, present, Stage.ARCHIVED, updated_ms=call.now_ms)
    occupy(change, earlier, stage, updated_ms=call.now_ms)
    change.set(model, updated_ms=call.now_ms)
    change.record(Action.STAGE_ROLLED_BACK, earlier.version, comment)
    return earlier


def occupy(change: Change, version: ModelVersion, stage: Stage, **values: Any) -> None:
    """Put a version into a stage; the only function that changes the stage of a version.

    Args:
        change: Change of the version's model.
        version: Version to move; a new version is added in the stage None first.
        stage: Target stage; an exclusive one must be vacant or held by this version.
        values: Other columns to set in the same statement.
    """
    change.set(version, stage=stage, **values)


def _count(session: Session, before: str, after: str) -> None:
    """Count a requested move, as done or undone, when its transaction ends."""
    for ending, result in (("after_commit", "done"), ("after_rollback", "undone")):
        count = transitions.labels(before, after, result).inc
        event.listen(session, ending, lambda _session, count=count: count(), once=True)


def holder(session: Session, name: str, stage: Stage) -> ModelVersion | None:
    """Return the holder of an exclusive stage; None if it is vacant or the stage is shared."""
    if not stage.is_exclusive:
        return None
    return session.scalars(
        select(ModelVersion).where(ModelVersion.name == name, ModelVersion.stage == stage)
    ).one_or_none()


def _version_and_holder(
    session: Session, name: str, number: int, stage: Stage
) -> tuple[ModelVersion, ModelVersion | None]:
    """Return a version and the holder of a stage, read in one statement."""
    wanted = ModelVersion.version == number
    if stage.is_exclusive:
        wanted |= ModelVersion.stage == stage
    found = select(ModelVersion).where(ModelVersion.name == name, wanted).options(*TO_SHOW)
    both = session.scalars(found).unique().all()
    occupant = next((row for row in both if stage.is_exclusive and row.stage == stage), None)
    return get_version(session, name, number), occupant


def _number(version: ModelVersion | None) -> int | None:
    return None if version is None else version.version
