"""The tracking service, as a main mounts it."""

from __future__ import annotations

import logging
from pathlib import Path

import grpc

from modelyard.api.artifacts.v1 import artifacts_service_pb2
from modelyard.api.tracking.v1 import tracking_service_pb2
from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.clock import Clock, now_ms
from modelyard_kit.db.base import Database
from modelyard_kit.db.migrations import Migrations, require_head
from modelyard_kit.rpc.calls import restrict_to_callers
from modelyard_kit.rpc.server import RpcServer
from modelyard_tracking.clients import Registry
from modelyard_tracking.search.restriction import restriction
from modelyard_tracking.servicer import ArtifactsServicer, TrackingServicer

logger = logging.getLogger(__name__)

MIGRATIONS = Migrations(
    service="tracking", folder=Path(__file__).parent / "migrations", head="0002"
)

# Together no more than the connections of one database: a call never waits for one.
_TRACKING_THREADS = 8
_ARTIFACTS_THREADS = 8  # with those that wait, more than the calls one gateway makes at a time


def mount(
    server: RpcServer,
    database: Database,
    store: ArtifactStore,
    signer: UrlSigner,
    clock: Clock = now_ms,
    *,
    registry: grpc.Channel | None = None,
    token: str | None = None,
) -> None:
    """Mount the tracking and artifacts services.

    Args:
        server: Not started yet.
        database: Tracking's own; refuses calls until it is at the head of `MIGRATIONS`.
        store: Keeps the bytes of artifacts.
        signer: Makes the URLs that the gateway answers.
        clock: The time.
        registry: A channel to `RegistryService`; without one nothing can be swept.
        token: The services' own, to ask the registry with; None where none is asked for.
    """
    require_head(database, MIGRATIONS)
    restrict_to_callers(database, restriction)
    if not store.trusted:
        logger.warning("What clients upload is hashed again when it is committed.")
    server.add(
        tracking_service_pb2.DESCRIPTOR.services_by_name["TrackingService"],
        TrackingServicer(database, clock),
        threads=_TRACKING_THREADS,
        problem=database.problem,
    )
    server.add(
        artifacts_service_pb2.DESCRIPTOR.services_by_name["ArtifactsService"],
        ArtifactsServicer(database, store, signer, clock, Registry(registry, token)),
        area="tracking",
        threads=_ARTIFACTS_THREADS,
        problem=database.problem,
    )
