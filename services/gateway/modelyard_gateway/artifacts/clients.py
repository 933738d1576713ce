"""Clients of the services that hold artifact metadata, called on behalf of a request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import grpc

from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard.api.tracking.v1.tracking_service_pb2_grpc import TrackingServiceStub
from modelyard_gateway.calls import refused, trace_of
from modelyard_kit.http.requests import Request
from modelyard_kit.observability import request_ids

_DEADLINE_S = 60.0

Identity = tuple[tuple[str, str], ...]


class ServiceClients:
    """Stubs of the services that hold artifact metadata. Calls block.

    Args:
        channels: Channels to the services, by area.
        token: The service token, used for requests that carry a signature instead of a token.
    """

    def __init__(self, channels: Mapping[str, grpc.Channel], token: str | None) -> None:
        self._token = token
        self._channels = channels

    @property
    def has_tracking(self) -> bool:
        return "tracking" in self._channels

    def own_identity(self, request: Request | None = None) -> Identity:
        """Return the gateway's own identity, for a request that its signed URL authorizes."""
        own = trace_of(request) if request else ((request_ids.HEADER, request_ids.kept_or_new("")),)
        return own if self._token is None else (*own, ("authorization", f"Bearer {self._token}"))

    @cached_property
    def _artifacts(self) -> Any:
        return ArtifactsServiceStub(self._channels["tracking"])

    @cached_property
    def _tracking(self) -> Any:
        return TrackingServiceStub(self._channels["tracking"])

    @cached_property
    def _registry(self) -> Any:
        return RegistryServiceStub(self._channels["registry"])

    def artifacts(
        self, rpc: str, message: Any, identity: Identity, timeout_s: float = _DEADLINE_S
    ) -> Any:
        """Call an RPC of `ArtifactsService`.

        Raises:
            Error: The service refused, or is unreachable (`Unavailable`).
        """
        return _call("tracking", getattr(self._artifacts, rpc), message, identity, timeout_s)

    def tracking(self, rpc: str, message: Any, identity: Identity) -> Any:
        """Call an RPC of `TrackingService`; raises as `artifacts` does."""
        return _call("tracking", getattr(self._tracking, rpc), message, identity)

    def registry(self, rpc: str, message: Any, identity: Identity) -> Any:
        """Call an RPC of `RegistryService`; raises as `artifacts` does."""
        return _call("registry", getattr(self._registry, rpc), message, identity)


def _call(
    area: str, rpc: Any, message: Any, identity: Identity, timeout_s: float = _DEADLINE_S
) -> Any:
    try:
        return rpc(message, timeout=timeout_s, metadata=identity)
    except grpc.RpcError as error:
        raise refused(area, error, dict(identity)[request_ids.HEADER]) from error
