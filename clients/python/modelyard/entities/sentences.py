"""Sentences about changes of registered models, from the patches of their events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

_MAX_CHARACTERS = 80

Patch: TypeAlias = dict[str, Any]
"""A JSON merge patch of a model's document."""

_Describe: TypeAlias = Callable[[str, Patch, Patch], str]
"""Takes the changed version, if any, and the patches `before` and `after`."""


def stages(patch: Patch) -> dict[str, str]:
    """Return the stages that a patch sets, by version."""
    versions = (patch.get("versions") or {}).items()
    return {number: values["stage"] for number, values in versions if values and "stage" in values}


def described(action: str, version: str, before: Patch, after: Patch) -> str:
    """Return what a change did, such as "moved version 3 from None to Staging"."""
    describe = _BY_ACTION.get(action)
    if describe is not None:
        return describe(version, before, after)
    # An action of a newer server.
    of = f" of version {version}" if version else ""
    details = "".join(f", {change}" for change in _moves(before, after))
    return f"made the change {action}{of}{details}"


def _quoted(text: object) -> str:
    shown = str(text)
    return repr(shown if len(shown) <= _MAX_CHARACTERS else f"{shown[:_MAX_CHARACTERS]}…")


def _listed(parts: Iterator[str]) -> str:
    return " and ".join(parts)


def _moves(before: Patch, after: Patch, except_version: str = "") -> Iterator[str]:
    """Yield the change of each version's stage and of each alias."""
    was = stages(before)
    for number, stage in stages(after).items():
        if number in was and number != except_version:
            yield f"version {number} went from {was[number]} to {stage}"
    for alias, new in _aliases(after):
        old = dict(_aliases(before)).get(alias)
        yield f"alias {alias} went from version {old or 'none'} to {new or 'none'}"


def _aliases(patch: Patch) -> list[tuple[str, int | None]]:
    return list((patch.get("aliases") or {}).items())


def _tag(patch: Patch, version: str) -> tuple[str, str | None]:
    """Return the key and value of the only tag in a patch; None as value if it is not set."""
    of_version = (patch.get("versions") or {}).get(version) or {}
    tags: dict[str, str | None] = (of_version if version else patch).get("tags") or {}
    return next(iter(tags.items()), ("", None))


def _of(version: str) -> str:
    return f" of version {version}" if version else ""


def _tag_set(version: str, before: Patch, after: Patch) -> str:
    (key, value), (_, old) = _tag(after, version), _tag(before, version)
    instead = "" if old is None else f" instead of {_quoted(old)}"
    return f"set tag {_quoted(key)}{_of(version)} to {_quoted(value)}{instead}"


def _tag_deleted(version: str, before: Patch, _after: Patch) -> str:
    key, value = _tag(before, version)
    return f"deleted tag {_quoted(key)}{_of(version)}, which was {_quoted(value)}"


def _model_updated(_version: str, before: Patch, after: Patch) -> str:
    changed = after.get("model") or {}
    parts = []
    if "deletion_protection" in changed:
        switched = "on" if changed["deletion_protection"] else "off"
        parts.append(f"turned deletion protection {switched}")
    if "description" in changed:
        parts.append(f"set the description to {_quoted(changed['description'] or '')}")
    if "deployment_job_id" in changed:
        parts.append(f"set the deployment job to {_quoted(changed['deployment_job_id'] or '')}")
    return _listed(iter(parts)) or _listed(_moves(before, after)) or "updated the model"


def _version_updated(version: str, _before: Patch, after: Patch) -> str:
    changed = (after.get("versions") or {}).get(version) or {}
    return f"set the description of version {version} to {_quoted(changed.get('description', ''))}"


def _renamed(_version: str, _before: Patch, after: Patch) -> str:
    former = after.get("renamed_from")
    return f"renamed the model from {former}" if former else "renamed the model to another name"


def _given_up(before: Patch, *, all_versions: bool) -> str:
    held = [
        f"version {number} in {stage}" if all_versions else f"stage {stage}"
        for number, stage in stages(before).items()
        if stage in {"Staging", "Production"}
    ]
    held += [
        f"alias {alias} of version {number}" if all_versions else f"alias {alias}"
        for alias, number in _aliases(before)
    ]
    return f", which gave up {_listed(iter(held))}" if held else ""


def _model_deleted(_version: str, before: Patch, _after: Patch) -> str:
    count = len(before.get("versions") or {})
    versions = f"{count} version" if count == 1 else f"{count} versions"
    return f"deleted the model with {versions}{_given_up(before, all_versions=True)}"


def _version_deleted(version: str, before: Patch, _after: Patch) -> str:
    return f"deleted version {version}{_given_up(before, all_versions=False)}"


def _version_created(version: str, _before: Patch, after: Patch) -> str:
    source = ((after.get("versions") or {}).get(version) or {}).get("source")
    return f"registered version {version}" + (f" from {_quoted(source)}" if source else "")


def _version_imported(version: str, _before: Patch, after: Patch) -> str:
    stage = stages(after).get(version)
    return f"imported version {version}" + (f" in stage {stage}" if stage else "")


def _alias_set(_version: str, before: Patch, after: Patch) -> str:
    alias, number = next(iter(_aliases(after)), ("", None))
    old = dict(_aliases(before)).get(alias)
    instead = "" if old is None else f" instead of version {old}"
    return f"pointed alias {alias} at version {number}{instead}"


def _alias_deleted(_version: str, before: Patch, _after: Patch) -> str:
    alias, number = next(iter(_aliases(before)), ("", None))
    return f"deleted alias {alias}, which pointed at version {number}"


def _stage_changed(version: str, before: Patch, after: Patch) -> str:
    stage, old = stages(after).get(version), stages(before).get(version)
    moved = f"moved version {version} from {old} to {stage}"
    if stage == old:
        moved = f"kept version {version} in {stage or 'its stage'}"
    return ", ".join([moved, *_moves(before, after, version)])


def _rolled_back(version: str, before: Patch, after: Patch) -> str:
    stage, old = stages(after).get(version), stages(before).get(version)
    others = _moves(before, after, version)
    return ", ".join([f"rolled {stage} back to version {version}, which was in {old}", *others])


def _alias_rolled_back(_version: str, before: Patch, after: Patch) -> str:
    alias, number = next(iter(_aliases(after)), ("", None))
    old = dict(_aliases(before)).get(alias)
    from_where = "" if old is None else f" from version {old}"
    return f"rolled alias {alias} back{from_where} to version {number}"


_BY_ACTION: dict[str, _Describe] = {
    "MODEL_CREATED": lambda *_: "created the model",
    "MODEL_UPDATED": _model_updated,
    "MODEL_RENAMED": _renamed,
    "MODEL_DELETED": _model_deleted,
    "MODEL_TAG_SET": _tag_set,
    "MODEL_TAG_DELETED": _tag_deleted,
    "ALIAS_SET": _alias_set,
    "ALIAS_DELETED": _alias_deleted,
    "ALIAS_ROLLED_BACK": _alias_rolled_back,
    "VERSION_CREATED": _version_created,
    "VERSION_UPDATED": _version_updated,
    "VERSION_DELETED": _version_deleted,
    "VERSION_TAG_SET": _tag_set,
    "VERSION_TAG_DELETED": _tag_deleted,
    "STAGE_CHANGED": _stage_changed,
    "STAGE_ROLLED_BACK": _rolled_back,
    "MODEL_IMPORTED": lambda *_: "imported the model",
    "VERSION_IMPORTED": _version_imported,
}
