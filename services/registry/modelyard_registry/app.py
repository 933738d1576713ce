"""The registry service: `mount` adds it to a server, `MIGRATIONS` is its database schema."""

from __future__ import annotations

from pathlib import Path

import grpc

from modelyard.api.access.v1 import access_service_pb2
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard.api.registry.v1 import registry_service_pb2
from modelyard.api.serving.v1 import endpoint_service_pb2
from modelyard_kit.artifacts import ArtifactStore
from modelyard_kit.auth.tokens import Tokens
from modelyard_kit.clock import Clock, now_ms
from modelyard_kit.db.base import Database
from modelyard_kit.db.identity import Identity
from modelyard_kit.db.migrations import Migrations, require_head
from modelyard_kit.db.notify import Notifier
from modelyard_kit.rpc.caller import restrict_to_callers
from modelyard_kit.rpc.expiry import expire_replies
from modelyard_kit.rpc.server import RpcServer
from modelyard_registry.search.restriction import RESTRICTION
from modelyard_registry.servicer import RegistryServicer
from modelyard_registry.servicer.access import AccessServicer, own_tokens
from modelyard_registry.servicer.endpoints import EndpointServicer

_WATCHES = 64
_ACCESS_THREADS = 4

MIGRATIONS = Migrations("registry", Path(__file__).parent / "migrations", "0007")


def mount(
    server: RpcServer,
    database: Database,
    store: ArtifactStore,
    tracking: grpc.Channel,
    clock: Clock = now_ms,
    *,
    token: str | None = None,
    protects_staged: bool = False,
) -> None:
    """Mount the registry on a server.

    Args:
        server: Server to mount on; not started yet.
        database: Database of the registry; refuses calls until it is at the head of `MIGRATIONS`
            and of the installation of the store.
        store: Store with the bytes of artifacts.
        tracking: Channel to `ArtifactsService`.
        clock: Returns Unix time in milliseconds.
        token: Service token for calls to tracking; None if it requires no token.
        protects_staged: Whether versions in Staging or Production are deleted only with force.
    """
    require_head(database, MIGRATIONS)
    database.require(Identity("registry", database, store).check, repeatedly=True)
    restrict_to_callers(database, RESTRICTION)
    expire_replies(server, database, clock)
    notifier = Notifier()
    database.on_commit(notifier.notify)
    seals, stops = ArtifactsServiceStub(tracking), server.stopping.is_set
    servicer = RegistryServicer(
        database, store, seals, clock, notifier, stops, token=token, protects_staged=protects_staged
    )
    server.add(
        registry_service_pb2.DESCRIPTOR.services_by_name["RegistryService"],
        servicer,
        streams=_WATCHES,
        problem=database.problem,
    )
    server.add(
        endpoint_service_pb2.DESCRIPTOR.services_by_name["EndpointService"],
        EndpointServicer(database, clock, notifier, stops),
        area="registry",
        streams=_WATCHES,
        problem=database.problem,
    )
    server.add(
        access_service_pb2.DESCRIPTOR.services_by_name["AccessService"],
        AccessServicer(database, clock, server.tokens),
        area="registry",
        threads=_ACCESS_THREADS,
        problem=database.problem,
    )


def api_tokens(database: Database, clock: Clock = now_ms) -> Tokens:
    """Return the API tokens for checks inside the registry's own server.

    Args:
        database: Database of the registry.
        clock: Returns Unix time in milliseconds.
    """
    return Tokens(own_tokens(database, clock), clock)
