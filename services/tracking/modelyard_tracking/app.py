"""The tracking service: `mount` adds it to a server, `MIGRATIONS` is its database schema."""

from __future__ import annotations

import logging
from pathlib import Path

import grpc

from modelyard.api.artifacts.v1 import artifacts_service_pb2
from modelyard.api.tracking.v1 import tracking_service_pb2
from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.clock import Clock, now_ms
from modelyard_kit.db.base import Database
from modelyard_kit.db.identity import Identity
from modelyard_kit.db.migrations import Migrations, require_head
from modelyard_kit.rpc.caller import restrict_to_callers
from modelyard_kit.rpc.expiry import expire_replies
from modelyard_kit.rpc.server import RpcServer
from modelyard_tracking.clients import Registry
from modelyard_tracking.models import Base
from modelyard_tracking.search.restriction import RESTRICTION
from modelyard_tracking.servicer import ArtifactsServicer, TrackingServicer
from modelyard_tracking.servicer.proof_of_possession import ProofOfPossession

logger = logging.getLogger(__name__)

MIGRATIONS = Migrations(
    service="tracking", folder=Path(__file__).parent / "migrations", head="0007"
)

# In total at most the connections of one database, so that no call waits for a connection.
_TRACKING_THREADS = 8
_ARTIFACTS_THREADS = 8  # with the queue, more than one gateway calls at a time


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
        server: Server to mount on; not started yet.
        database: Database of tracking; refuses calls until it is at the head of `MIGRATIONS` and of
            the installation of the store.
        store: Store for the bytes of artifacts.
        signer: Signs URLs that the gateway serves.
        clock: Returns Unix time in milliseconds.
        registry: Channel to `RegistryService`; without one, sweeps are refused.
        token: Service token for calls to the registry; None if it requires no token.
    """
    require_head(database, MIGRATIONS)
    identity = Identity("tracking", database, store, Base.metadata.tables["stored_object"])
    database.require(identity.check, repeatedly=True)
    restrict_to_callers(database, RESTRICTION)
    expire_replies(server, database, clock)
    if not store.trusted:
        logger.warning("The store verifies no digests: uploads are hashed again when committed.")
    server.add(
        tracking_service_pb2.DESCRIPTOR.services_by_name["TrackingService"],
        TrackingServicer(database, clock),
        threads=_TRACKING_THREADS,
        problem=database.problem,
    )
    server.add(
        artifacts_service_pb2.DESCRIPTOR.services_by_name["ArtifactsService"],
        ArtifactsServicer(
            database,
            store,
            signer,
            clock,
            Registry(registry, token),
            identity,
            ProofOfPossession(database, store, signer, clock),
        ),
        area="tracking",
        threads=_ARTIFACTS_THREADS,
        problem=database.problem,
    )
