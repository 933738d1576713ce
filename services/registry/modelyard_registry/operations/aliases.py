"""Aliases: movable names for the versions of a model."""

from __future__ import annotations

from modelyard_kit.db.rows import Rows
from modelyard_kit.references.names import check_alias
from modelyard_kit.references.uris import Alias
from modelyard_kit.rpc.calls import OnRows
from modelyard_registry.operations.changes import Change
from modelyard_registry.operations.damage import refuse_damaged
from modelyard_registry.operations.model_versions import get_version
from modelyard_registry.operations.rollbacks import reinstated
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.stages import check_holder
from modelyard_registry.statements.model_versions import Version
from modelyard_registry.statements.registered_models import ALIAS
from modelyard_registry.statements.registered_models import Alias as AliasRow


def set_alias(call: OnRows, name: str, alias: str, number: int) -> None:
    """Point an alias at a version; pointing it at the same version again changes nothing.

    Raises:
        FailedPrecondition: The version's bytes are damaged.
    """
    check_alias(alias)
    change, _ = Change.begin(call, name)
    refuse_damaged(get_version(call.rows, name, number))
    pointer = find_pointer(call.rows, name, alias)
    if pointer is not None and pointer.version == number:
        return
    point(change, pointer, AliasRow(name, alias, number))
    change.record(Action.ALIAS_SET, number)


def delete_alias(call: OnRows, name: str, alias: str) -> None:
    """Delete an alias; deleting a missing one changes nothing."""
    change, _ = Change.begin(call, name)
    pointer = find_pointer(call.rows, name, alias)
    if pointer is not None:
        change.remove(pointer)
        change.record(Action.ALIAS_DELETED, pointer.version)


def find_pointer(rows: Rows, name: str, alias: str) -> AliasRow | None:
    return rows.first(ALIAS, {"name": name, "alias": alias})


def point(change: Change, present: AliasRow | None, wanted: AliasRow) -> None:
    """Make an alias point at a version.

    Args:
        change: Change of the model.
        present: Row of the alias; None if there is none.
        wanted: The row that it becomes.
    """
    if present is None:
        change.add(wanted)
    else:
        change.set(present, version=wanted.version)


def roll_back(
    call: OnRows, name: str, alias: str, *, to: int | None, expected_holder: str, comment: str
) -> Version:
    """Point an alias at a version that it pointed at before.

    Args:
        call: Call that makes the change.
        name: Name of the model.
        alias: The alias, which may have been deleted.
        to: Number of the version; None for the newest that no rollback took the alias from since
            the alias was last set to it.
        expected_holder: Number of the version that the alias is expected to point at, "none" for a
            deleted alias, or empty for any.
        comment: Reason for the change, stored in the history.

    Raises:
        FailedPrecondition: No such version exists and is ready; the message lists what `to` can be.
        Aborted: The alias points at another version than expected.
    """
    check_alias(alias)
    change, _ = Change.begin(call, name)
    pointer = find_pointer(call.rows, name, alias)
    present = None if pointer is None else pointer.version
    check_holder(f"@{alias}", expected_holder, present)
    earlier = reinstated(call.rows, name, Alias(alias), present, to)
    point(change, pointer, AliasRow(name, alias, earlier.version))
    change.record(Action.ALIAS_ROLLED_BACK, earlier.version, comment)
    return get_version(call.rows, name, earlier.version)
