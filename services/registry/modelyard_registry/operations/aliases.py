"""Aliases: movable names for the versions of a model."""

from __future__ import annotations

from modelyard_kit.references.names import check_alias
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import ModelAlias
from modelyard_registry.operations.changes import Change
from modelyard_registry.operations.model_versions import get_version
from modelyard_registry.rules.history import Action


def set_alias(call: Call, name: str, alias: str, number: int) -> None:
    """Point an alias at a version; pointing it at the same version again changes nothing."""
    check_alias(alias)
    change, _ = Change.begin(call, name)
    get_version(call.session, name, number)
    pointer = call.session.get(ModelAlias, (name, alias))
    if pointer is None:
        change.add(ModelAlias(name=name, alias=alias, version=number))
    elif pointer.version == number:
        return
    else:
        change.set(pointer, version=number)
    change.record(Action.ALIAS_SET, number)


def delete_alias(call: Call, name: str, alias: str) -> None:
    """Delete an alias; deleting a missing one changes nothing."""
    change, _ = Change.begin(call, name)
    pointer = call.session.get(ModelAlias, (name, alias))
    if pointer is not None:
        change.remove(pointer)
        change.record(Action.ALIAS_DELETED, pointer.version)
