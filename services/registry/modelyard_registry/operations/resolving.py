"""Resolving model URIs to versions, and checking digests of pinned manifests."""

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
    """Return the version a URI refers to, and the revision of its model.

    Args:
        session: Session open for reading.
        source: The parsed URI.
        as_of_ms: Time to resolve a stage or alias at, Unix time in milliseconds; None for now.

    Raises:
        NotFound: There is no such version, or there was none at that time.
        FailedPrecondition: The version is not verified, so its bytes are not in the store.
    """
    found = _version(session, source, as_of_ms)
    if not found.verified:
        raise FailedPrecondition(
            f"Version {found.version} of {source.name} is not verified: its bytes are not in the "
            f"store. Load it from its source if you trust it: {found.source}",
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
            f"The URI meant version {number} of {source.name} at that time; the version has been "
            "deleted since",
            name=source.name,
            version=str(number),
        )
    return found


def require_pinned(session: Session, digest: Digest) -> None:
    """Refuse a digest that no version is pinned to.

    Raises:
        NotFound: No version has the digest.
    """
    if session.scalar(select(exists().where(ModelVersion.digest == digest))):
        return
    raise NotFound(
        f"No version has the manifest {digest}; get-download-uri returns the digest of a version.",
        digest=digest,
    )
