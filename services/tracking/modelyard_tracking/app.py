"""The tracking service, as a main mounts it."""

from __future__ import annotations

from pathlib import Path

from modelyard.api.artifacts.v1 import artifacts_service_pb2
from modelyard.api.tracking.v1 import tracking_service_pb2
from modelyard_kit.artifacts import ArtifactStore
from modelyard_kit.clock import Clock, now_ms
from modelyard_kit.db import Database
from modelyard_kit.migrations import Tree
from modelyard_kit.server import Server
from modelyard_tracking.servicer import ArtifactsServicer, TrackingServicer

TREE = Tree(service="tracking", folder=Path(__file__).parent / "migrations", head="0001")


def mount(server: Server, database: Database, store: ArtifactStore, clock: Clock = now_ms) -> None:
    """Mount the tracking and artifacts services.

    Args:
        server: Not started yet.
        database: Tracking's own, at the head of `TREE`.
        store: Keeps the bytes of artifacts.
        clock: The time.
    """
    server.add(
        tracking_service_pb2.DESCRIPTOR.services_by_name["TrackingService"],
        TrackingServicer(database, clock),
    )
    server.add(
        artifacts_service_pb2.DESCRIPTOR.services_by_name["ArtifactsService"],
        ArtifactsServicer(database, store, clock),
    )
