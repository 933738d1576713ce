"""Asking the services about artifacts, on behalf of a request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import grpc

from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard_gateway.backends import SERVICES, Backend
from modelyard_gateway.http import Request
from modelyard_kit.channel import dial, translated

_DEADLINE_S = 60.0
_FORWARDED = ("authorization", "x-modelyard-user")

Identity = tuple[tuple[str, str], ...]


def identity(request: Request) -> Identity:
    """Return who asks, as metadata of the calls made for a request."""
    given = [(name, request.headers[name]) for name in _FORWARDED if name in request.headers]
    return (("x-request-id", request.request_id), *given)


class Neighbours:
    """The services that know about artifacts. Calls block.

    Args:
        backends: Where they are.
        token: The gateway's own, for requests that carry a signature instead of a token.
    """

    def __init__(self, backends: Sequence[Backend], token: str | None) -> None:
        self._token = token
        self._channels: dict[str, grpc.Channel] = {
            backend.area: dial(backend.target, *SERVICES[backend.area]) for backend in backends
        }

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()

    def own_identity(self, request: Request) -> Identity:
        """Return the gateway's own identity: for a request whose URL is its permission."""
        own = (("x-request-id", request.request_id),)
        return own if self._token is None else (*own, ("authorization", f"Bearer {self._token}"))

    @cached_property
    def _artifacts(self) -> Any:
        return ArtifactsServiceStub(self._channels["tracking"])

    @cached_property
    def _registry(self) -> Any:
        return RegistryServiceStub(self._channels["registry"])

    def artifacts(self, rpc: str, message: Any, who: Identity) -> Any:
        """Call an RPC of `ArtifactsService`.

        Raises:
            Error: What it raised, or `Unavailable` when it cannot be reached.
        """
        with translated("tracking"):
            return getattr(self._artifacts, rpc)(message, timeout=_DEADLINE_S, metadata=who)

    def registry(self, rpc: str, message: Any, who: Identity) -> Any:
        """Call an RPC of `RegistryService`; raises as `artifacts` does."""
        with translated("registry"):
            return getattr(self._registry, rpc)(message, timeout=_DEADLINE_S, metadata=who)
