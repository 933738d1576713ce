"""Importing from another registry: repeatable upserts of models and versions.

Each import is one event, or none if nothing differs. The history of a version begins with its
import: earlier holders of a stage are not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard_kit.db import locks
from modelyard_kit.db.rows import Rows, rows_of
from modelyard_kit.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from modelyard_kit.references.names import check_alias, check_model_name
from modelyard_kit.references.stages import Stage
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import Imported
from modelyard_registry.operations.aliases import find_pointer, point
from modelyard_registry.operations.changes import Change
from modelyard_registry.operations.former_names import number_was_used
from modelyard_registry.operations.model_versions import (
    Registration,
    SealedSource,
    get_version,
    pinned_by,
    pinned_source,
)
from modelyard_registry.operations.registered_models import find_model
from modelyard_registry.operations.stages import holder, occupy
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.names import MAX_NAME_CHARACTERS, check_tag_keys
from modelyard_registry.rules.pinning import Pinned
from modelyard_registry.rules.protection import PROTECTION_TAG, protects
from modelyard_registry.statements import registered_models
from modelyard_registry.statements.model_versions import VERSION, Version, VersionTag
from modelyard_registry.statements.registered_models import Alias, Model, ModelTag

_MODEL, _VERSION = "model", "version"

Tag = TypeVar("Tag", ModelTag, VersionTag)


@dataclass(frozen=True, slots=True)
class OriginalModel:
    """A registered model as stored in another registry. Times are Unix time in milliseconds."""

    name: str
    user_id: str
    description: str | None
    deployment_job_id: str | None
    deletion_protection: bool | None
    """None leaves the current value unchanged."""
    created_ms: int
    updated_ms: int
    tags: Sequence[tuple[str, str]]
    next_version: int
    """Lower bound of the numbers of new versions."""


@dataclass(frozen=True, slots=True)
class OriginalVersion:
    """A version as stored in another registry; `name` is the name of its model there."""

    name: str
    version: int
    registration: Registration
    stage: Stage
    status: str
    user_id: str
    created_ms: int
    updated_ms: int
    aliases: Sequence[str]
    unverified_reason: str | None


def import_model(call: Call, origin: str, original: OriginalModel) -> tuple[str, bool]:
    """Make a model equal to the original, and return its name with whether it was created.

    The model gets its original name unless a model here has the name or ever had versions under
    it: versions keep their numbers, and a number never identifies two versions.
    """
    check_model_name(original.name)
    check_tag_keys(key for key, _ in original.tags)
    name = _locked_name_here(call.session, origin, original.name)
    if name is None:
        # First imports run one at a time, so that each sees the names taken by earlier ones.
        locks.hold(call.session, locks.FIRST_IMPORTS)
        name = _locked_name_here(call.session, origin, original.name)
    created = name is None
    if name is None:
        change, model = _new_model(call, origin, original)
    else:
        change, model = Change.begin(call, name)
    tags = dict(original.tags)
    protection = _protection(original, present=model.deletion_protection)
    if protection:
        tags.setdefault(PROTECTION_TAG, "true")
    change.set(
        model,
        user_id=original.user_id,
        description=original.description,
        deployment_job_id=original.deployment_job_id,
        deletion_protection=protection,
        created_ms=original.created_ms,
        updated_ms=original.updated_ms,
    )
    _replace_tags(
        change,
        call.rows.execute(registered_models.TAGS, {"name": model.name}),
        tags,
        lambda key, value: ModelTag(model.name, key, value),
    )
    _raise_next_version(change, original.next_version)
    if not change.is_empty:
        change.record(Action.MODEL_IMPORTED, comment=f"from {origin}")
    return model.name, created


def _protection(original: OriginalModel, *, present: bool) -> bool:
    """Return whether a model is protected after its import: as field or tag say, or as before."""
    given, tag = original.deletion_protection, dict(original.tags).get(PROTECTION_TAG)
    if tag is None:
        return present if given is None else given
    if given not in (None, protects(tag)):
        raise InvalidArgument(
            f"The model {original.name} has deletion_protection={str(given).lower()} and the tag "
            f"{PROTECTION_TAG}={tag}; expected that both agree, or only one of them.",
            field="registered_model.deletion_protection",
        )
    return protects(tag)


def import_version(
    call: Call, origin: str, original: OriginalVersion, sealed: SealedSource
) -> tuple[Version, bool]:
    """Make a version equal to the original, and return it with whether it was created.

    Raises:
        InvalidArgument: Its model was not imported, or it is verified and has another source.
        AlreadyExists: Its number is used by another version here, or it was deleted here.
        FailedPrecondition: Another version holds its stage.
    """
    check_tag_keys(key for key, _ in original.registration.tags)
    for alias in original.aliases:
        check_alias(alias)
    name = _locked_name_here(call.session, origin, original.name)
    if name is None:
        raise InvalidArgument(
            f"Registered Model {original.name} was not imported from the origin {origin}; "
            "import the model before its versions.",
            name=original.name,
        )
    change, _ = Change.begin(call, name)
    version = _find_version(call.session, origin, original, name)
    _check_stage(call.rows, name, original)
    created = version is None
    if version is None:
        version = _new_version(change, call.rows, name, original, sealed)
        identity = _version_id(original)
        call.session.add(Imported(origin=origin, kind=_VERSION, origin_id=identity, name=name))
    else:
        _update_version(change, call.rows, version, original, sealed)
    _replace_aliases(change, call.rows, version, original.aliases)
    if not change.is_empty:
        change.record(Action.VERSION_IMPORTED, version.version, f"from {origin}")
    return get_version(call.rows, name, version.version), created


def pinned_before(session: Session, origin: str, original: OriginalVersion) -> Pinned | None:
    """Return what an earlier import pinned a version to, or None if it pinned nothing."""
    name = _name_here(session, origin, original.name)
    if name is None:
        return None
    version = rows_of(session).first(VERSION, {"name": name, "version": original.version})
    return pinned_by(version) if version is not None and version.verified else None


def _name_here(session: Session, origin: str, name: str) -> str | None:
    return session.scalar(
        select(Imported.name).where(
            Imported.origin == origin, Imported.kind == _MODEL, Imported.origin_id == name
        )
    )


def _locked_name_here(session: Session, origin: str, name: str) -> str | None:
    """Return the name of an imported model here, locked until the transaction ends."""
    here = _name_here(session, origin, name)
    locked = None
    while here is not None and here != locked:
        rows_of(session).execute(registered_models.LOCKED_NAMES, {"name": here})
        locked, here = here, _name_here(session, origin, name)
    return here


def _version_id(original: OriginalVersion) -> str:
    return f"{original.name}/{original.version}"


def _new_model(call: Call, origin: str, original: OriginalModel) -> tuple[Change, Model]:
    names = _names_like(original.name)
    name = next(candidate for candidate in names if _is_free(call.rows, candidate))
    change = Change.begin_name(call, name)
    model = Model(
        name=name,
        description=None,
        user_id=original.user_id,
        deployment_job_id=None,
        deletion_protection=False,
        created_ms=original.created_ms,
        updated_ms=original.updated_ms,
    )
    change.add(model)
    call.session.add(Imported(origin=origin, kind=_MODEL, origin_id=original.name, name=name))
    return change, model


def _names_like(name: str) -> Iterator[str]:
    yield name
    for number in count(1):
        suffix = "-imported" if number == 1 else f"-imported-{number}"
        yield name[: MAX_NAME_CHARACTERS - len(suffix)] + suffix


def _is_free(rows: Rows, name: str) -> bool:
    names = rows.first(registered_models.NAMES, {"name": name})
    had_versions = names is not None and names.next_version > 1
    return not had_versions and find_model(rows, name) is None


def _find_version(
    session: Session, origin: str, original: OriginalVersion, name: str
) -> Version | None:
    """Return the version that an earlier import wrote, or None if the number is free."""
    number = original.version
    rows = rows_of(session)
    version = rows.first(VERSION, {"name": name, "version": number})
    if session.get(Imported, (origin, _VERSION, _version_id(original))) is not None:
        if version is not None:
            return version
    elif version is None and not number_was_used(rows, name, number):
        return None
    reason = "was created here" if version is not None else "was deleted here"
    raise AlreadyExists(
        f"Model Version (name={name}, version={number}) {reason}; a version number is never "
        "reused.",
        name=name,
        version=str(number),
    )


def _check_stage(rows: Rows, name: str, original: OriginalVersion) -> None:
    occupant = holder(rows, name, original.stage)
    if occupant is not None and occupant.version != original.version:
        raise FailedPrecondition(
            f"Version {original.version} of {name} cannot be imported into {original.stage}: "
            f"version {occupant.version} holds the stage. Move that version first, or import this "
            "one into another stage.",
            name=name,
            stage=original.stage,
            holder=str(occupant.version),
        )


def _new_version(
    change: Change, rows: Rows, name: str, original: OriginalVersion, sealed: SealedSource
) -> Version:
    version = Version(
        name=name,
        version=original.version,
        stage=str(Stage.NONE),
        revision=1,
        model_revision=change.names.revision,
        damage=None,
        aliases=[],
        tags=[],
        **_columns(rows, original, sealed),
    )
    _raise_next_version(change, original.version + 1)
    change.add(version)
    occupy(change, version, original.stage)
    for key, value in original.registration.tags:
        change.add(VersionTag(name, version.version, key, value))
    return version


def _update_version(
    change: Change, rows: Rows, version: Version, original: OriginalVersion, sealed: SealedSource
) -> None:
    registration = original.registration
    if version.verified and registration.source != version.source:
        raise InvalidArgument(
            f"The source of version {version.version} of {version.name} is {version.source}. The "
            "version is verified, so its source cannot change.",
            source=version.source,
        )
    values = _columns(rows, original, pinned_by(version) if version.verified else sealed)
    different = {
        column: value for column, value in values.items() if getattr(version, column) != value
    }

    def tag(key: str, value: str) -> VersionTag:
        return VersionTag(version.name, version.version, key, value)

    is_moved = version.stage != original.stage
    if is_moved or different or dict(version.tags) != dict(registration.tags):
        occupy(change, version, original.stage, **different)
    present = [tag(key, value) for key, value in version.tags]
    _replace_tags(change, present, dict(registration.tags), tag)


def _columns(rows: Rows, original: OriginalVersion, sealed: SealedSource) -> dict[str, Any]:
    """Return the columns of a version except name, number and stage."""
    registration = original.registration
    source, pinned = _made_from(rows, registration, sealed)
    return {
        "source": source,
        "run_id": pinned.run_id,
        "experiment_id": pinned.experiment_id,
        "run_link": registration.run_link,
        "model_id": pinned.model_id,
        "description": registration.description,
        "user_id": original.user_id,
        "status": original.status,
        "digest": pinned.digest,
        "has_model": pinned.has_model,
        "unverified_reason": None if pinned.digest else original.unverified_reason,
        "created_ms": original.created_ms,
        "updated_ms": original.updated_ms,
    }


def _made_from(rows: Rows, registration: Registration, sealed: SealedSource) -> tuple[str, Pinned]:
    """Return the source to store and what the version is pinned to.

    If no run here is known to have made the bytes, the run is the one that the original names.
    """
    if isinstance(sealed, Pinned) and sealed.run_id is None:
        source, pinned = pinned_source(rows, replace(registration, run_id=""), sealed)
        return source, replace(pinned, run_id=registration.run_id or None)
    return pinned_source(rows, registration, sealed)


def _replace_tags(
    change: Change,
    present: Sequence[Tag],
    wanted: Mapping[str, str],
    make: Callable[[str, str], Tag],
) -> None:
    rows = {tag.key: tag for tag in present}
    for key in sorted(rows.keys() - wanted.keys()):
        change.remove(rows[key])
    for key, value in wanted.items():
        if key in rows:
            change.set(rows[key], value=value)
        else:
            change.add(make(key, value))


def _replace_aliases(change: Change, rows: Rows, version: Version, wanted: Sequence[str]) -> None:
    name, number = version.name, version.version
    for pointer in version.aliases:
        if pointer.alias not in wanted:
            change.remove(Alias(name, pointer.alias, number))
    for alias in wanted:
        point(change, find_pointer(rows, name, alias), Alias(name, alias, number))


def _raise_next_version(change: Change, next_version: int) -> None:
    """Number new versions from at least `next_version` on."""
    change.set_names(next_version=max(change.names.next_version, next_version))
