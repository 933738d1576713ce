"""Servicers of the registry: each RPC is one transaction and one operation."""

from __future__ import annotations

from collections.abc import Callable

from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard_kit.artifacts import ArtifactStore
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.db.notify import Notifier
from modelyard_registry.servicer.deletions import Deletions
from modelyard_registry.servicer.history import History
from modelyard_registry.servicer.importing import Importing
from modelyard_registry.servicer.manifests import Manifests
from modelyard_registry.servicer.model_versions import ModelVersions
from modelyard_registry.servicer.registered_models import RegisteredModels
from modelyard_registry.servicer.resolving import Resolving


class RegistryServicer(RegisteredModels, ModelVersions, Deletions, Resolving, History, Importing):
    """All RPCs of `RegistryService`.

    Args:
        database: Database of the registry.
        store: Store to read pinned manifests from.
        tracking: Client of `ArtifactsService`, which seals sources.
        clock: Returns Unix time in milliseconds.
        notifier: Wakes the watches after each commit.
        is_stopping: Returns True once the server stops, which ends the watches.
        token: Service token for calls that only services may make; None if there is none.
        protects_staged: Whether versions in Staging or Production are deleted only with force.
    """

    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        tracking: ArtifactsServiceStub,
        clock: Clock,
        notifier: Notifier,
        is_stopping: Callable[[], bool],
        *,
        token: str | None,
        protects_staged: bool,
    ) -> None:
        self.database = database
        self.store = store
        self.manifests = Manifests(store, clock)
        self.tracking = tracking
        self.clock = clock
        self.notifier = notifier
        self.is_stopping = is_stopping
        self.token = token
        self.protects_staged = protects_staged
