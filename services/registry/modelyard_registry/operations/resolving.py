"""From a reference to a version, and from its digest to its files."""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import Digest
from modelyard_kit.errors import FailedPrecondition, NotFound
from modelyard_kit.references.uris import VersionSource
from modelyard_registry.models import ModelName, ModelVersion
from modelyard_registry.operations import chains, history
from modelyard_registry.operations.model_versions import find_version


def resolve_version(
    session: Session, source: VersionSource, as_of_ms: int | None
) -> tuple[ModelVersion, int]:
    """Return the version a URI means, and the revision of its model.

    Args:
        session: Open for reading.
        source: What the URI says.
        as_of_ms: Unix time in milliseconds: what a stage or alias meant then; None for now.

    Raises:
        NotFound: Nothing was, or is, there.
        FailedPrecondition: The version's bytes are not kept here.
    """
    found = _version(session, source, as_of_ms)
    if not found.verified:
        raise FailedPrecondition(
            f"The bytes of {source.name} version {found.version} are not kept here: it is not "
            f"verified. Whoever trusts its source can load it from there: {found.source}",
            name=source.name,
            version=str(found.version),
            source=found.source,
        )
    return found, chains.position(session, ModelName, source.name)


def _version(session: Session, source: VersionSource, as_of_ms: int | None) -> ModelVersion:
    if as_of_ms is None or isinstance(source.reference, int):
        return find_version(session, source.name, source.reference)
    number = history.version_at(session, source.name, source.reference, as_of_ms)
    found = session.get(ModelVersion, (source.name, number))
    if found is None:
        raise NotFound(
            f"It was version {number} of {source.name} then, which was deleted since",
            name=source.name,
            version=str(number),
        )
    return found


def require_pinned(session: Session, digest: Digest) -> None:
    """Refuse a digest that is of no version's manifest.

    Raises:
        NotFound: No version has it.
    """
    if session.scalar(select(exists().where(ModelVersion.digest == digest))):
        return
    raise NotFound(
        f"No version has the manifest {digest}; get-download-uri tells the one of a version.",
        digest=digest,
    )
