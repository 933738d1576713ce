from __future__ import annotations

from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard_kit.artifacts import ArtifactStore
from modelyard_kit.db.base import Database
from modelyard_kit.references.uris import ManifestSource, VersionSource
from modelyard_kit.rpc.caller import caller
from modelyard_registry.clients import require_intact
from modelyard_registry.operations import model_versions
from modelyard_registry.operations.model_versions import SealedSource


class Copying:
    """Versions that are pinned to the bytes of another version, which tracking does not seal."""

    database: Database
    store: ArtifactStore
    tracking: ArtifactsServiceStub
    token: str | None

    def _require_intact(self, sealed: SealedSource) -> None:
        """Refuse to copy a version whose bytes are damaged; those of other sources were checked."""
        if not isinstance(sealed, VersionSource | ManifestSource):
            return
        current = caller.get()
        digest = self.database.fast_read(
            lambda rows: model_versions.copied_digest(rows, sealed),
            current.remaining_s(),
            scope=current.grant.scope,
        )
        if digest is not None:
            require_intact(self.tracking, self.store, digest, self.token)
