"""Operations on versions: numbered, immutable snapshots of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import MODEL_FILE
from modelyard_kit.db.rows import Rows
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
from modelyard_kit.rpc.calls import OnRows
from modelyard_registry.models import READY, ModelVersion
from modelyard_registry.operations.changes import Change
from modelyard_registry.operations.registered_models import get_model
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.names import check_etag, check_tag_keys
from modelyard_registry.rules.pinning import Pinned
from modelyard_registry.statements.model_versions import (
    HIGHEST,
    HIGHEST_IN_STAGE,
    HOLDER,
    KEPT,
    VERSION,
    VERSION_OF_ALIAS,
    VERSION_OF_MANIFEST,
    Version,
    VersionTag,
)
from modelyard_registry.statements.registered_models import Tag

SealedSource: TypeAlias = Pinned | VersionSource | ManifestSource | ForeignSource
"""The source of a new version: sealed by tracking, or resolved by the registry itself."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The fields of a new version, as requested.

    Args:
        source: URI or path of the model's files.
        run_id: Id of the run that made it; empty if unknown. Checked unless the source is foreign.
        model_id: Id of the logged model; empty if unknown. Checked like `run_id`.
        run_link: Stored as given.
        description: Stored as given.
        tags: Initial tags, as pairs of key and value.
        require_model: Whether files of this server must be a model.
    """

    source: str
    run_id: str
    model_id: str
    run_link: str | None
    description: str | None
    tags: Sequence[tuple[str, str]]
    require_model: bool = False


def create_version(
    call: OnRows, name: str, registration: Registration, sealed: SealedSource
) -> Version:
    """Register the next version of a model from a sealed source."""
    check_tag_keys(key for key, _ in registration.tags)
    change, model = Change.begin(call, name)
    source, pinned = pinned_source(call.rows, registration, sealed)
    tags = [Tag(key, value) for key, value in sorted(registration.tags)]
    version = Version(
        name=name,
        version=change.names.next_version,
        stage=str(Stage.NONE),
        source=source,
        run_id=pinned.run_id,
        experiment_id=pinned.experiment_id,
        run_link=registration.run_link,
        model_id=pinned.model_id,
        description=registration.description,
        user_id=call.actor,
        status=READY,
        digest=pinned.digest,
        has_model=pinned.has_model,
        unverified_reason=None,
        created_ms=call.now_ms,
        updated_ms=call.now_ms,
        revision=1,
        model_revision=change.names.revision,
        damage=None,
        aliases=[],
        tags=tags,
    )
    change.set_names(next_version=version.version + 1)
    change.set(model, updated_ms=call.now_ms)
    change.add(version)
    for key, value in tags:
        change.add(VersionTag(name, version.version, key, value))
    change.record(Action.VERSION_CREATED, version.version)
    return version


def pinned_source(
    rows: Rows, registration: Registration, sealed: SealedSource
) -> tuple[str, Pinned]:
    """Return the source to store and what it is pinned to.

    Raises:
        InvalidArgument: The source belongs to another run or logged model than the request names.
        InvalidArgument: A model is required, and the source is a version that is none.
        NotFound: The source is a version that does not exist.
    """
    match sealed:
        case ForeignSource():
            run_id, model_id = registration.run_id or None, registration.model_id or None
            return registration.source, Pinned(None, run_id, None, model_id, None)
        case Pinned():
            source, pinned = registration.source, sealed
        case VersionSource(name, reference):
            original = find_version(rows, name, reference)
            source, pinned = _copied(rows, registration.source, original)
        case ManifestSource(digest):
            original = _version_of_manifest(rows, digest)
            source, pinned = _copied(rows, registration.source, original)
    _check_id("run_id", registration.run_id, pinned.run_id, source)
    _check_id("model_id", registration.model_id, pinned.model_id, source)
    if registration.require_model and pinned.has_model is False:
        raise InvalidArgument(
            f"The source {registration.source} is no model: the version was registered without an "
            f"{MODEL_FILE} file. Instead, register the folder of a model.",
            source=registration.source,
        )
    return source, pinned


def _copied(rows: Rows, source: str, original: Version) -> tuple[str, Pinned]:
    # Locked against deletion: bytes that are unpinned even for an instant might be swept.
    if rows.first(KEPT, {"name": original.name, "version": original.version}) is None:
        raise Aborted(
            f"Version {original.version} of {original.name} was deleted or renamed concurrently; "
            "nothing was written. Look up the version to copy, then retry.",
            name=original.name,
        )
    # An unverified copy keeps the foreign source, which stays valid if the original is deleted.
    return source if original.verified else original.source, pinned_by(original)


def pinned_by(version: Version) -> Pinned:
    """Return what a version is pinned to."""
    return Pinned(
        version.digest, version.run_id, version.experiment_id, version.model_id, version.has_model
    )


def copied_digest(rows: Rows, source: VersionSource | ManifestSource) -> str | None:
    """Return the digest of the version that a source refers to; None if it is not verified.

    Raises:
        NotFound: There is no such version.
    """
    if isinstance(source, VersionSource):
        return find_version(rows, source.name, source.reference).digest
    return _version_of_manifest(rows, source.digest).digest


def _version_of_manifest(rows: Rows, digest: str) -> Version:
    found = rows.first(VERSION_OF_MANIFEST, {"digest": digest})
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


def get_version(rows: Rows, name: str, number: int) -> Version:
    found = rows.ahead(VERSION, {"name": name, "version": number})
    if found is None:
        raise no_version(name, number)
    return found


def no_version(name: str, number: int) -> NotFound:
    return NotFound(
        f"Model Version (name={name}, version={number}) not found",
        name=name,
        version=str(number),
    )


def find_version(rows: Rows, name: str, reference: Reference) -> Version:
    """Return the version with a number, the highest in a stage, or the one with an alias.

    Raises:
        NotFound: There is no such version; the message names the model and the reference.
    """
    match reference:
        case Stage():
            return _highest_in_stage(rows, name, reference)
        case Alias(alias) if alias == LATEST:
            return _highest(rows, name)
        case Alias(alias):
            return _version_of_alias(rows, name, alias)
        case int():
            return get_version(rows, name, reference)


def _highest(rows: Rows, name: str) -> Version:
    found = rows.ahead(HIGHEST, {"name": name})
    if found is None:
        get_model(rows, name)
        raise NotFound(f"Registered Model {name} has no versions", name=name)
    return found


def _version_of_alias(rows: Rows, name: str, alias: str) -> Version:
    found = rows.ahead(VERSION_OF_ALIAS, {"name": name, "alias": alias})
    if found is None:
        get_model(rows, name)
        raise NotFound(
            f"Registered Model {name} has no alias {alias}, and there is no stage of that name",
            name=name,
            alias=alias,
        )
    return found


def _highest_in_stage(rows: Rows, name: str, stage: Stage) -> Version:
    statement = HOLDER if stage.is_exclusive else HIGHEST_IN_STAGE
    found = rows.ahead(statement, {"name": name, "in_stage": str(stage)})
    if found is None:
        get_model(rows, name)
        raise NotFound(
            f"No version of Registered Model {name} is in stage {stage}", name=name, stage=stage
        )
    return found


def update_version(
    call: OnRows, name: str, number: int, *, description: str | None, etag: str
) -> Version:
    """Set the description unless it is None; an equal description changes nothing."""
    change, _ = Change.begin(call, name)
    version = get_version(call.rows, name, number)
    check_etag(etag, version.etag)
    if description is not None and description != version.description:
        version = change.set(version, description=description, updated_ms=call.now_ms)
        change.record(Action.VERSION_UPDATED, number)
    return version


def set_tag(call: OnRows, name: str, number: int, key: str, value: str) -> None:
    """Set a tag; an equal value changes nothing."""
    checked_key(key, "key")
    change, _ = Change.begin(call, name)
    version = get_version(call.rows, name, number)
    present = dict(version.tags).get(key)
    if present == value:
        return
    if present is None:
        change.add(VersionTag(name, number, key, value))
    else:
        change.set(VersionTag(name, number, key, present), value=value)
    change.set(version)
    change.record(Action.VERSION_TAG_SET, number)


def delete_tag(call: OnRows, name: str, number: int, key: str) -> None:
    """Delete a tag; deleting a missing one changes nothing."""
    change, _ = Change.begin(call, name)
    version = get_version(call.rows, name, number)
    value = dict(version.tags).get(key)
    if value is not None:
        change.remove(VersionTag(name, number, key, value))
        change.set(version)
        change.record(Action.VERSION_TAG_DELETED, number)


def pinned_digests(session: Session, after: str, limit: int) -> Sequence[str]:
    """Return digests of manifests that versions are pinned to, in order, those after `after`."""
    digests = (
        select(ModelVersion.digest)
        .where(ModelVersion.digest > after)
        .distinct()
        .order_by(ModelVersion.digest)
        .limit(limit)
    )
    return [digest for digest in session.scalars(digests) if digest is not None]
