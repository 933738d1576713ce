"""Reading manifests from a store."""

from __future__ import annotations

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.manifest import Manifest
from modelyard_kit.artifacts.store import ArtifactStore
from modelyard_kit.errors import DataLoss, NotFound


def read_manifest(store: ArtifactStore, digest: str) -> tuple[bytes, Manifest]:
    """Return a manifest in its canonical form and parsed.

    Raises:
        DataLoss: The manifest is missing from the store, or differs from its digest.
    """
    known = Digest(digest)
    try:
        with store.open(known) as chunks:
            data = b"".join(chunks)
    except NotFound:
        raise DataLoss(f"The manifest {digest} is missing from the store", digest=digest) from None
    if Digest.of(data) != known:
        raise DataLoss(f"The manifest {digest} is corrupt in the store", digest=digest)
    return data, Manifest.from_bytes(data)
