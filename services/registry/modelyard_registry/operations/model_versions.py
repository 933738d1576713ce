"""What is done to versions: numbered, immutable snapshots of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.orm.attributes import set_committed_value

from modelyard_kit.errors import Aborted, InvalidArgument, NotFound
from modelyard_kit.keys import checked_key
from modelyard_kit.references.names import LATEST
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import (
    Alias,
    ForeignSource,
    ManifestSource,
    Reference,
    VersionSource,
)
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import READY, ModelAlias, ModelVersion, ModelVersionTag
from modelyard_registry.operations.changes import Change, Documented
from modelyard_registry.operations.registered_models import check_deletable, get_model
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.names import check_etag, check_tag_keys
from modelyard_registry.rules.pinning import Pinned

# Tags are a statement of their own: with both joined, rows would multiply.
TO_SHOW = (
    joinedload(ModelVersion.aliases),
    joinedload(ModelVersion.names, innerjoin=True),
)
"""Loads with a version what nearly every reply says of it."""

Kept: TypeAlias = Pinned | VersionSource | ManifestSource | ForeignSource
"""What a version is made from: what tracking pinned, or what the registry can tell by itself."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a caller says of a new version.

    Args:
        source: Where it is from.
        run_id: Must be the run that made it, if not empty; taken as said for a foreign source.
        model_id: The same for the logged model.
        run_link: Kept as text.
        description: Kept as text.
        tags: Its first tags, keys and values.
    """

    source: str
    run_id: str
    model_id: str
    run_link: str | None
    description: str | None
    tags: Sequence[tuple[str, str]]


def create_version(call: Call, name: str, said: Registration, kept: Kept) -> ModelVersion:
    """Register the next version of a model, made from what is kept."""
    check_tag_keys(key for key, _ in said.tags)
    change, model = Change.begin(call, name)
    source, pinned = pinned_source(call.session, said, kept)
    version = ModelVersion(
        name=name,
        version=change.names.next_version,
        stage=Stage.NONE,
        source=source,
        run_id=pinned.run_id,
        experiment_id=pinned.experiment_id,
        run_link=said.run_link,
        model_id=pinned.model_id,
        description=said.description,
        user_id=call.actor,
        status=READY,
        digest=pinned.digest,
        created_ms=call.now_ms,
        updated_ms=call.now_ms,
        revision=1,
    )
    change.set(change.names, next_version=version.version + 1)
    change.set(model, updated_ms=call.now_ms)
    change.add(version)
    tags = [
        ModelVersionTag(name=name, version=version.version, key=key, value=value)
        for key, value in sorted(said.tags)
    ]
    for tag in tags:
        change.add(tag)
    change.record(Action.VERSION_CREATED, version.version)
    # What a new version has need not be looked up.
    set_committed_value(version, "tags", tags)
    set_committed_value(version, "aliases", [])
    return version


def pinned_source(session: Session, said: Registration, kept: Kept) -> tuple[str, Pinned]:
    """Return the source to show and what it is, if that agrees with what the caller says.

    Raises:
        InvalidArgument: The run or the logged model is another than the caller says.
        NotFound: It is a copy of a version that is not there.
    """
    match kept:
        case ForeignSource():
            return said.source, Pinned(None, said.run_id or None, None, said.model_id or None)
        case Pinned():
            source, pinned = said.source, kept
        case VersionSource(name, reference):
            source, pinned = _copied(session, said.source, find_version(session, name, reference))
        case ManifestSource(digest):
            source, pinned = _copied(session, said.source, _version_of_manifest(session, digest))
    _check_id("run_id", said.run_id, pinned.run_id, source)
    _check_id("model_id", said.model_id, pinned.model_id, source)
    return source, pinned


def _copied(session: Session, source: str, original: ModelVersion) -> tuple[str, Pinned]:
    # Locked against deletion: bytes that nothing pins for an instant might be swept.
    still_there = (
        select(ModelVersion.version)
        .where(ModelVersion.name == original.name, ModelVersion.version == original.version)
        .with_for_update(read=True, key_share=True)
    )
    if session.scalar(still_there) is None:
        raise Aborted(
            f"Version {original.version} of {original.name} was deleted or renamed meanwhile; "
            "nothing was written. Look which version you want, then try again.",
            name=original.name,
        )
    # Bytes that are not kept here are where the original says, even when it is gone.
    return source if original.verified else original.source, pinned_by(original)


def pinned_by(version: ModelVersion) -> Pinned:
    """Return what a version is made from."""
    return Pinned(version.digest, version.run_id, version.experiment_id, version.model_id)


def _version_of_manifest(session: Session, digest: str) -> ModelVersion:
    found = session.scalars(
        select(ModelVersion)
        .where(ModelVersion.digest == digest)
        .order_by(ModelVersion.name, ModelVersion.version)
        .limit(1)
    ).one_or_none()
    if found is None:
        raise NotFound(
            f"No version has the manifest {digest}; register from the run or the logged model.",
            digest=digest,
        )
    return found


def _check_id(parameter: str, given: str, known: str | None, source: str) -> None:
    if given and given != known:
        raise InvalidArgument(
            f"Invalid value '{given}' for parameter '{parameter}': the source {source} "
            + (f"has {parameter} '{known}'." if known else f"has no {parameter}."),
            field=parameter,
        )


def get_version(session: Session, name: str, number: int) -> ModelVersion:
    found = session.get(ModelVersion, (name, number), options=TO_SHOW)
    if found is None:
        raise NotFound(
            f"Model Version (name={name}, version={number}) not found",
            name=name,
            version=str(number),
        )
    return found


def find_version(session: Session, name: str, reference: Reference) -> ModelVersion:
    """Return the version of that number, the highest in that stage or the one with that alias.

    Raises:
        NotFound: There is none; the message names the model and what was looked for.
    """
    match reference:
        case Stage():
            return _highest_in_stage(session, name, reference)
        case Alias():
            return version_by_alias(session, name, reference.name)
        case int():
            return get_version(session, name, reference)


def version_by_alias(session: Session, name: str, alias: str) -> ModelVersion:
    """Return the version an alias points at; `latest` is the highest one."""
    if alias == LATEST:
        found = session.scalars(_highest(name)).unique().one_or_none()
        if found is None:
            get_model(session, name)
            raise NotFound(f"Registered Model {name} has no versions", name=name)
        return found
    pointed_at = (
        select(ModelVersion)
        .join(ModelVersion.aliases)
        .where(ModelAlias.name == name, ModelAlias.alias == alias)
        .options(*TO_SHOW)
    )
    found = session.scalars(pointed_at).unique().one_or_none()
    if found is None:
        get_model(session, name)
        raise NotFound(
            f"Registered Model {name} has no alias {alias}, and there is no stage of that name",
            name=name,
            alias=alias,
        )
    return found


def _highest_in_stage(session: Session, name: str, stage: Stage) -> ModelVersion:
    in_stage = _highest(name).where(ModelVersion.stage == stage)
    found = session.scalars(in_stage).unique().one_or_none()
    if found is None:
        get_model(session, name)
        raise NotFound(
            f"No version of Registered Model {name} is in stage {stage}", name=name, stage=stage
        )
    return found


def _highest(name: str) -> Select[ModelVersion]:
    of_model = select(ModelVersion).where(ModelVersion.name == name).options(*TO_SHOW)
    return of_model.order_by(ModelVersion.version.desc()).limit(1)


def update_version(
    call: Call, name: str, number: int, *, description: str | None, etag: str
) -> ModelVersion:
    """Change the description unless it is None; to what it is already is no change."""
    change, _ = Change.begin(call, name)
    version = get_version(call.session, name, number)
    check_etag(etag, version.etag)
    if description is not None and description != version.description:
        change.set(version, description=description, updated_ms=call.now_ms)
        change.record(Action.VERSION_UPDATED, number)
    return version


def delete_version(call: Call, name: str, number: int, *, force: bool, comment: str) -> None:
    """Delete a version with its tags and aliases, for good."""
    change, model = Change.begin(call, name)
    version = get_version(call.session, name, number)
    check_deletable(model, force=force)
    inside_first: list[Documented] = [*version.aliases, *version.tags, version]
    for row in inside_first:
        change.remove(row)
    change.set(model, updated_ms=call.now_ms)
    change.record(Action.VERSION_DELETED, number, comment)


def set_tag(call: Call, name: str, number: int, key: str, value: str) -> None:
    """Set a tag; to the value it has already is no change."""
    checked_key(key, "key")
    change, _ = Change.begin(call, name)
    version = get_version(call.session, name, number)
    tag = call.session.get(ModelVersionTag, (name, number, key))
    if tag is None:
        change.add(ModelVersionTag(name=name, version=number, key=key, value=value))
    elif tag.value == value:
        return
    else:
        change.set(tag, value=value)
    change.set(version)
    change.record(Action.VERSION_TAG_SET, number)


def delete_tag(call: Call, name: str, number: int, key: str) -> None:
    """Delete a tag; a missing one stays missing, which is no change."""
    change, _ = Change.begin(call, name)
    version = get_version(call.session, name, number)
    tag = call.session.get(ModelVersionTag, (name, number, key))
    if tag is not None:
        change.remove(tag)
        change.set(version)
        change.record(Action.VERSION_TAG_DELETED, number)


def pinned_digests(session: Session, after: str, limit: int) -> Sequence[str]:
    """Return the digests of the manifests that versions point at, in order, after one."""
    digests = (
        select(ModelVersion.digest)
        .where(ModelVersion.digest > after)
        .distinct()
        .order_by(ModelVersion.digest)
        .limit(limit)
    )
    return [digest for digest in session.scalars(digests) if digest is not None]
