"""Deleting models and versions: what refuses it, and what it gives up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelyard_kit.db.rows import rows_of
from modelyard_kit.errors import FailedPrecondition, NotFound
from modelyard_kit.references.stages import Stage
from modelyard_kit.references.uris import Reference, VersionSource, parse_model_uri
from modelyard_kit.rpc.calls import Call
from modelyard_registry.models import Endpoint, EndpointModel
from modelyard_registry.operations.changes import Change
from modelyard_registry.operations.model_versions import find_version, get_version
from modelyard_registry.operations.registered_models import deleting, documented_rows
from modelyard_registry.rules.endpoints import uris_of
from modelyard_registry.rules.history import Action
from modelyard_registry.rules.protection import PROTECTION_TAG
from modelyard_registry.statements.model_versions import Version, VersionTag
from modelyard_registry.statements.registered_models import Alias, Model

_MAX_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Released:
    """A deleted version that was in Staging or Production or had aliases."""

    version: int
    stage: Stage
    aliases: tuple[str, ...]

    def __str__(self) -> str:
        """Return number, stage and aliases, e.g. "version 2 (Production, @champion)"."""
        aliases = (f"@{alias}" for alias in self.aliases)
        return f"version {self.version} ({', '.join([self.stage, *aliases])})"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion gives up: stages and aliases, and ids of endpoints that refer to them."""

    released: Sequence[Released]
    endpoints: Sequence[str]

    def __str__(self) -> str:
        """Return a sentence for a refusal."""
        in_use = _listed(self.released)
        if self.endpoints:
            in_use.append(f"endpoints {', '.join(_listed(self.endpoints))}")
        if not in_use:
            return "No stage, alias or endpoint depends on it."
        return f"In use: {', '.join(in_use)}."


def delete_model(
    call: Call, name: str, *, force: bool, protects_staged: bool, comment: str
) -> Deletion:
    """Delete a model with all its parts permanently; its name keeps history and version counter.

    Args:
        call: Call that makes the change.
        name: Name of the model.
        force: Delete even what is protected.
        protects_staged: Whether versions in Staging and Production are protected.
        comment: Reason for the deletion, stored in the history.

    Raises:
        FailedPrecondition: The model is protected; names what depends on it.
    """
    change, model = Change.begin(call, name)
    documented = documented_rows(call.rows, model)
    versions = [row for row in documented if isinstance(row, Version)]
    referring = dict.fromkeys(endpoint for endpoint, _ in _references(call.session, name))
    deletion = Deletion(_released(versions), list(referring))
    if not force:
        _check(model, deletion, f"Registered Model {name}", protects_staged=protects_staged)
    for row in documented:
        change.note_removed(row)
    for statement in deleting(name):
        call.session.execute(statement)
    change.record(Action.MODEL_DELETED, comment=comment)
    return deletion


def delete_version(
    call: Call, name: str, number: int, *, force: bool, protects_staged: bool, comment: str
) -> Deletion:
    """Delete a version with its tags and aliases permanently.

    Args:
        call: Call that makes the change.
        name: Name of the model.
        number: Number of the version.
        force: Delete even what is protected.
        protects_staged: Whether versions in Staging and Production are protected.
        comment: Reason for the deletion, stored in the history.

    Raises:
        FailedPrecondition: The version is protected; names what depends on it.
    """
    change, model = Change.begin(call, name)
    version = get_version(call.rows, name, number)
    referring = dict.fromkeys(
        endpoint
        for endpoint, reference in _references(call.session, name)
        if _means(call.session, name, reference, number)
    )
    deletion = Deletion(_released([version]), list(referring))
    if not force:
        what = f"Version {number} of {name}"
        _check(model, deletion, what, protects_staged=protects_staged)
    for pointer in version.aliases:
        change.remove(Alias(name, pointer.alias, number))
    for tag in version.tags:
        change.remove(VersionTag(name, number, tag.key, tag.value))
    change.remove(version)
    change.set(model, updated_ms=call.now_ms)
    change.record(Action.VERSION_DELETED, number, comment)
    return deletion


def _check(model: Model, deletion: Deletion, what: str, *, protects_staged: bool) -> None:
    forced = "or delete with force, as an admin and with a comment"
    if model.deletion_protection:
        raise FailedPrecondition(
            f"Registered Model {model.name} is protected from deletion; set its "
            f"deletion_protection to false, delete its tag {PROTECTION_TAG}, {forced}. {deletion}",
            name=model.name,
        )
    staged = [released for released in deletion.released if released.stage.is_exclusive]
    if protects_staged and staged:
        raise FailedPrecondition(
            f"{what} is protected from deletion, because the server has "
            f"MODELYARD_DELETION_PROTECTION=staged; move {', '.join(_listed(staged))} to Archived "
            f"first, {forced}. {deletion}",
            name=model.name,
        )


def _released(versions: Sequence[Version]) -> list[Released]:
    found = (
        Released(row.version, Stage(row.stage), tuple(alias.alias for alias in row.aliases))
        for row in versions
    )
    return [row for row in found if row.stage.is_exclusive or row.aliases]


def _references(session: Session, name: str) -> Iterator[tuple[str, Reference]]:
    """Yield the endpoints that refer to a model, with each of their references."""
    # Not joined: scopes correlate the table of the names with the statement.
    ids = select(EndpointModel.name).where(EndpointModel.model == name)
    referring = select(Endpoint).where(Endpoint.name.in_(ids)).order_by(Endpoint.name)
    for endpoint in session.scalars(referring).all():
        for uri in uris_of(endpoint.wanted):
            source = parse_model_uri(uri)
            if isinstance(source, VersionSource) and source.name == name:
                yield endpoint.name, source.reference


def _means(session: Session, name: str, reference: Reference, number: int) -> bool:
    with suppress(NotFound):
        return find_version(rows_of(session), name, reference).version == number
    return False


def _listed(things: Sequence[object]) -> list[str]:
    more = [f"{len(things) - _MAX_SHOWN} more"] if len(things) > _MAX_SHOWN else []
    return [*map(str, things[:_MAX_SHOWN]), *more]
