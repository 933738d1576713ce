"""Moving versions between stages."""

from __future__ import annotations

from typing import Any

from modelyard_kit.db.rows import Rows
from modelyard_kit.references.stages import Stage
from modelyard_kit.rpc.calls import OnRows
from modelyard_registry.metrics import transitions
from modelyard_registry.operations.changes import Change
from modelyard_registry.operations.damage import refuse_damaged
from modelyard_registry.operations.model_versions import no_version
from modelyard_registry.operations.rollbacks import reinstated
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.names import check_etag
from modelyard_registry.rules.stages import check_exclusive, check_holder
from modelyard_registry.statements.model_versions import (
    HOLDER,
    VERSION,
    VERSION_AND_HOLDER,
    Version,
)


def transition_stage(
    call: OnRows,
    name: str,
    number: int,
    stage: Stage,
    *,
    archive_existing: bool,
    etag: str,
    expected_holder: str,
    comment: str,
) -> Version:
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
    wanted = {"name": name, "version": number, "in_stage": str(stage)}
    statement = VERSION_AND_HOLDER if stage.is_exclusive else VERSION
    change, model, (found,) = Change.begin_reading(call, name, (statement, wanted))
    version, occupant = _version_and_holder(found, name, number, stage)
    _count(call.rows, version.stage, stage)
    check_etag(etag, version.etag)
    check_holder(stage, expected_holder, _number(occupant))
    if stage.is_exclusive:
        refuse_damaged(version)
    if occupant is not None and occupant.version != number:
        vacant = Stage.ARCHIVED if archive_existing else Stage.NONE
        occupy(change, occupant, vacant, updated_ms=call.now_ms)
    change.note_stage(version)
    moved = occupy(change, version, stage, updated_ms=call.now_ms)
    change.set(model, updated_ms=call.now_ms)
    change.record(Action.STAGE_CHANGED, number, comment)
    return moved


def roll_back(
    call: OnRows,
    name: str,
    stage: Stage,
    *,
    to: int | None = None,
    expected_holder: str,
    comment: str,
) -> Version:
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
    present = holder(call.rows, name, stage)
    check_holder(stage, expected_holder, _number(present))
    earlier = reinstated(call.rows, name, stage, _number(present), to)
    _count(call.rows, earlier.stage, stage)
    if present is not None:
        occupy(change, present, Stage.ARCHIVED, updated_ms=call.now_ms)
    moved = occupy(change, earlier, stage, updated_ms=call.now_ms)
    change.set(model, updated_ms=call.now_ms)
    change.record(Action.STAGE_ROLLED_BACK, earlier.version, comment)
    return moved


def occupy(change: Change, version: Version, stage: Stage, **values: Any) -> Version:
    """Put a version into a stage; the only function that changes the stage of a version.

    Args:
        change: Change of the version's model.
        version: Version to move; a new version is added in the stage None first.
        stage: Target stage; an exclusive one must be vacant or held by this version.
        values: Other columns to set in the same statement.
    """
    return change.set(version, stage=str(stage), **values)


def _count(rows: Rows, before: str, after: str) -> None:
    """Count a requested move, as done or undone, when its transaction ends."""

    def count(is_committed: bool) -> None:  # noqa: FBT001 - called with the outcome alone
        transitions.labels(before, after, "done" if is_committed else "undone").inc()

    rows.on_end(count)


def holder(rows: Rows, name: str, stage: Stage) -> Version | None:
    """Return the holder of an exclusive stage; None if it is vacant or the stage is shared."""
    if not stage.is_exclusive:
        return None
    return rows.first(HOLDER, {"name": name, "in_stage": str(stage)})


def _version_and_holder(
    found: list[Version], name: str, number: int, stage: Stage
) -> tuple[Version, Version | None]:
    """Return a version and the holder of a stage, of those found in one statement."""
    version = next((row for row in found if row.version == number), None)
    if version is None:
        raise no_version(name, number)
    occupant = next((row for row in found if stage.is_exclusive and row.stage == stage), None)
    return version, occupant


def _number(version: Version | None) -> int | None:
    return None if version is None else version.version
