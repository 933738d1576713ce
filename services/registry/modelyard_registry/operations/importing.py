"""Importing: writing what another registry had, again and again, to the same models.

Each import is one event, or none when everything is the same already. History begins with it: who
held a stage before is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard_kit.db import locks
from modelyard_kit.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from modelyard_kit.references.names import check_alias, check_model_name
from modelyard_kit.references.stages import Stage
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import (
    Imported,
    ModelAlias,
    ModelName,
    ModelVersion,
    ModelVersionTag,
    RegisteredModel,
    RegisteredModelTag,
)
from modelyard_registry.operations import history
from modelyard_registry.operations.changes import Change
from modelyard_registry.operations.model_versions import (
    Kept,
    Registration,
    pinned_by,
    pinned_source,
)
from modelyard_registry.operations.stages import holder, occupy
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.names import MAX_NAME_CHARACTERS, check_tag_keys
from modelyard_registry.rules.pinning import Pinned

_MODEL, _VERSION = "model", "version"

Tag = TypeVar("Tag", RegisteredModelTag, ModelVersionTag)


@dataclass(frozen=True, slots=True)
class OriginalModel:
    """A registered model as another registry has it. Times are Unix time, milliseconds."""

    name: str
    user_id: str
    description: str | None
    deployment_job_id: str | None
    deletion_protection: bool | None
    """None to leave it as it is."""
    created_ms: int
    updated_ms: int
    tags: Sequence[tuple[str, str]]
    next_version: int
    """Numbers below it are never given to a new version."""


@dataclass(frozen=True, slots=True)
class OriginalVersion:
    """A version as another registry has it, of the model that has `name` there."""

    name: str
    version: int
    said: Registration
    stage: Stage
    status: str
    user_id: str
    created_ms: int
    updated_ms: int
    aliases: Sequence[str]


def import_model(call: Call, origin: str, original: OriginalModel) -> tuple[RegisteredModel, bool]:
    """Bring a model to what it is at its origin, and say whether that made it.

    It has its name if no other model has it, and no version ever had it: versions keep their
    numbers, and a number never means two versions.
    """
    check_model_name(original.name)
    check_tag_keys(key for key, _ in original.tags)
    name = _locked_name_here(call.session, origin, original.name)
    if name is None:
        # One at a time: each sees which names those before it took.
        locks.hold(call.session, locks.FIRST_IMPORTS)
        name = _locked_name_here(call.session, origin, original.name)
    created = name is None
    if name is None:
        change, model = _new_model(call, origin, original)
    else:
        change, model = Change.begin(call, name)
    protection = original.deletion_protection
    change.set(
        model,
        user_id=original.user_id,
        description=original.description,
        deployment_job_id=original.deployment_job_id,
        deletion_protection=model.deletion_protection if protection is None else protection,
        created_ms=original.created_ms,
        updated_ms=original.updated_ms,
    )
    tags = select(RegisteredModelTag).where(RegisteredModelTag.name == model.name)
    _replace_tags(
        change,
        call.session.scalars(tags).all(),
        dict(original.tags),
        lambda key, value: RegisteredModelTag(name=model.name, key=key, value=value),
    )
    _count_on(change, original.next_version)
    if not change.is_empty:
        change.record(Action.MODEL_IMPORTED, comment=f"from {origin}")
    return model, created


def import_version(
    call: Call, origin: str, original: OriginalVersion, kept: Kept
) -> tuple[ModelVersion, bool]:
    """Bring a version to what it is at its origin, and say whether that made it.

    Raises:
        InvalidArgument: Its model was not imported, or it is verified and its source another one.
        AlreadyExists: Its number was given to another version, or it was deleted here.
        FailedPrecondition: Another version holds its stage.
    """
    check_tag_keys(key for key, _ in original.said.tags)
    for alias in original.aliases:
        check_alias(alias)
    name = _locked_name_here(call.session, origin, original.name)
    if name is None:
        raise InvalidArgument(
            f"The Registered Model {original.name} was not imported from the origin {origin}; "
            "import it before its versions.",
            name=original.name,
        )
    change, _ = Change.begin(call, name)
    version = _find_version(call.session, origin, original, name)
    _check_stage(call.session, name, original)
    created = version is None
    if version is None:
        version = _new_version(change, call.session, name, original, kept)
        identity = _version_id(original)
        call.session.add(Imported(origin=origin, kind=_VERSION, origin_id=identity, name=name))
    else:
        _update_version(change, call.session, version, original, kept)
    _replace_aliases(change, call.session, version, original.aliases)
    if not change.is_empty:
        change.record(Action.VERSION_IMPORTED, version.version, f"from {origin}")
    return version, created


def pinned_before(session: Session, origin: str, original: OriginalVersion) -> Pinned | None:
    """Return what an earlier import pinned a version to, for good, or None."""
    name = _name_here(session, origin, original.name)
    version = None if name is None else session.get(ModelVersion, (name, original.version))
    return pinned_by(version) if version is not None and version.verified else None


def _name_here(session: Session, origin: str, name: str) -> str | None:
    return session.scalar(
        select(Imported.name).where(
            Imported.origin == origin, Imported.kind == _MODEL, Imported.origin_id == name
        )
    )


def _locked_name_here(session: Session, origin: str, name: str) -> str | None:
    """Return the name that a model has here, and will have until the transaction ends."""
    here = _name_here(session, origin, name)
    locked = None
    while here is not None and here != locked:
        session.get(ModelName, here, with_for_update=True)
        locked, here = here, _name_here(session, origin, name)
    return here


def _version_id(original: OriginalVersion) -> str:
    return f"{original.name}/{original.version}"


def _new_model(call: Call, origin: str, original: OriginalModel) -> tuple[Change, RegisteredModel]:
    names = _names_like(original.name)
    name = next(candidate for candidate in names if _is_free(call.session, candidate))
    change = Change.begin_name(call, name)
    model = RegisteredModel(
        name=name,
        user_id=original.user_id,
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


def _is_free(session: Session, name: str) -> bool:
    names = session.get(ModelName, name)
    had_versions = names is not None and names.next_version > 1
    return not had_versions and session.get(RegisteredModel, name) is None


def _find_version(
    session: Session, origin: str, original: OriginalVersion, name: str
) -> ModelVersion | None:
    """Return what an earlier import wrote, or None if the number is free."""
    number = original.version
    version = session.get(ModelVersion, (name, number))
    if session.get(Imported, (origin, _VERSION, _version_id(original))) is not None:
        if version is not None:
            return version
    elif version is None and not history.was_given(session, name, number):
        return None
    made = "was made here" if version is not None else "was deleted here"
    raise AlreadyExists(
        f"Model Version (name={name}, version={number}) {made}, and a number never means two "
        "versions.",
        name=name,
        version=str(number),
    )


def _check_stage(session: Session, name: str, original: OriginalVersion) -> None:
    occupant = holder(session, name, original.stage)
    if occupant is not None and occupant.version != original.version:
        raise FailedPrecondition(
            f"Version {original.version} of {name} cannot be imported into {original.stage}: "
            f"version {occupant.version} holds it. Move that one first, or import this one into "
            "another stage.",
            name=name,
            stage=original.stage,
            holder=str(occupant.version),
        )


def _new_version(
    change: Change, session: Session, name: str, original: OriginalVersion, kept: Kept
) -> ModelVersion:
    version = ModelVersion(
        name=name,
        version=original.version,
        stage=Stage.NONE,
        revision=1,
        **_columns(session, original, kept),
    )
    _count_on(change, original.version + 1)
    change.add(version)
    occupy(change, version, original.stage)
    for key, value in original.said.tags:
        change.add(ModelVersionTag(name=name, version=version.version, key=key, value=value))
    return version


def _update_version(
    change: Change, session: Session, version: ModelVersion, original: OriginalVersion, kept: Kept
) -> None:
    said = original.said
    if version.verified and said.source != version.source:
        raise InvalidArgument(
            f"The source of version {version.version} of {version.name} is {version.source}; it is "
            "verified, so its source never changes.",
            source=version.source,
        )
    values = _columns(session, original, pinned_by(version) if version.verified else kept)
    different = {
        column: value for column, value in values.items() if getattr(version, column) != value
    }
    tags = session.scalars(
        select(ModelVersionTag).where(
            ModelVersionTag.name == version.name, ModelVersionTag.version == version.version
        )
    ).all()
    is_moved = version.stage != original.stage
    if is_moved or different or {tag.key: tag.value for tag in tags} != dict(said.tags):
        occupy(change, version, original.stage, **different)
    _replace_tags(
        change,
        tags,
        dict(said.tags),
        lambda key, value: ModelVersionTag(
            name=version.name, version=version.version, key=key, value=value
        ),
    )


def _columns(session: Session, original: OriginalVersion, kept: Kept) -> dict[str, Any]:
    """Return what a version is to have beside its name, number and stage."""
    said = original.said
    source, pinned = _made_from(session, said, kept)
    return {
        "source": source,
        "run_id": pinned.run_id,
        "experiment_id": pinned.experiment_id,
        "run_link": said.run_link,
        "model_id": pinned.model_id,
        "description": said.description,
        "user_id": original.user_id,
        "status": original.status,
        "digest": pinned.digest,
        "created_ms": original.created_ms,
        "updated_ms": original.updated_ms,
    }


def _made_from(session: Session, said: Registration, kept: Kept) -> tuple[str, Pinned]:
    """Return the source to show and what it is.

    Where no run is known here that made the bytes, it is the one the other registry names.
    """
    if isinstance(kept, Pinned) and kept.run_id is None:
        source, pinned = pinned_source(session, replace(said, run_id=""), kept)
        return source, replace(pinned, run_id=said.run_id or None)
    return pinned_source(session, said, kept)


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


def _replace_aliases(
    change: Change, session: Session, version: ModelVersion, wanted: Sequence[str]
) -> None:
    present = session.scalars(
        select(ModelAlias).where(
            ModelAlias.name == version.name, ModelAlias.version == version.version
        )
    ).all()
    for gone in present:
        if gone.alias not in wanted:
            change.remove(gone)
    for alias in wanted:
        pointer = session.get(ModelAlias, (version.name, alias))
        if pointer is None:
            change.add(ModelAlias(name=version.name, alias=alias, version=version.version))
        else:
            change.set(pointer, version=version.version)


def _count_on(change: Change, next_version: int) -> None:
    """Never give a number below one to a new version."""
    change.set(change.names, next_version=max(change.names.next_version, next_version))
