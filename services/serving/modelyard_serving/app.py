"""Mounts the serving service."""

from __future__ import annotations

from modelyard.api.serving.v1 import serving_service_pb2
from modelyard_kit.rpc.server import RpcServer

SERVICE = serving_service_pb2.DESCRIPTOR.services_by_name["ServingService"]


def mount(server: RpcServer) -> None:
    """Add the service, whose RPCs answer UNIMPLEMENTED until it has endpoints."""
    server.add(SERVICE, object())
