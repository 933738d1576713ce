"""Resolving model URIs to versions, and checking digests of pinned manifests."""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from modelyard_kit.artifacts import Digest
from modelyard_kit.db.rows import Rows
from modelyard_kit.errors import FailedPrecondition, NotFound
from modelyard_kit.references.uris import VersionSource
from modelyard_registry.models import ModelVersion
from modelyard_registry.operations import history
from modelyard_registry.operations.model_versions import find_version
from modelyard_registry.statements.model_versions import VERSION, Version


def resolve_version(rows: Rows, source: VersionSource, as_of_ms: int | None) -> Version:
    """Return the version a URI refers to.

    Args:
        rows: Rows of the transaction.
        source: The parsed URI.
        as_of_ms: Time to resolve a stage or alias at, Unix time in milliseconds; None for now.

    Raises:
        NotFound: There is no such version, or there was none at that time.
        FailedPrecondition: The version is not verified, so its bytes are not in the store.
    """
    found = _version(rows, source, as_of_ms)
    if not found.verified:
        raise FailedPrecondition(
            f"Version {found.version} of {source.name} is not verified: its bytes are not in the "
            f"store. Load it from its source if you trust it: {found.source}",
            name=source.name,
            version=str(found.version),
            source=found.source,
        )
    return found


def _version(rows: Rows, source: VersionSource, as_of_ms: int | None) -> Version:
    if as_of_ms is None or isinstance(source.reference, int):
        return find_version(rows, source.name, source.reference)
    number = history.version_at(rows, source.name, source.reference, as_of_ms)
    found = rows.first(VERSION, {"name": source.name, "version": number})
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
