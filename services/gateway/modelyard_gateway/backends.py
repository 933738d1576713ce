"""The services behind the edge: their addresses and their health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from modelyard.api.access.v1 import access_service_pb2
from modelyard.api.artifacts.v1 import artifacts_service_pb2
from modelyard.api.registry.v1 import registry_service_pb2
from modelyard.api.serving.v1 import endpoint_service_pb2, serving_service_pb2
from modelyard.api.tracking.v1 import tracking_service_pb2
from modelyard_kit.rpc.channel import Credentials, connect, options, rotating

_CONTRACT = {
    "tracking": (tracking_service_pb2, artifacts_service_pb2),
    "registry": (registry_service_pb2, endpoint_service_pb2, access_service_pb2),
    "serving": (serving_service_pb2,),
}
SERVICES = {
    area: tuple(service for file in files for service in file.DESCRIPTOR.services_by_name.values())
    for area, files in _CONTRACT.items()
}
"""The services of the contract, by the area that mounts them."""

_HEALTH_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Backend:
    """One area of the contract.

    Attributes:
        area: "tracking", "registry" or "serving".
        target: Address the gateway connects to.
        public: Address announced to clients: `host:port`, or `:port` for the host of the URL
            that they use.
        credentials: Credentials for TLS; None for plaintext.
    """

    area: str
    target: str
    public: str
    credentials: Credentials = None

    def connect(self) -> grpc.Channel:
        """Open a channel, which connects at its first use."""
        return connect(self.target, *SERVICES[self.area], credentials=self.credentials)

    def connect_on_event_loop(self) -> grpc.aio.Channel:
        """Open a channel that belongs to the running event loop."""
        chosen = options(*SERVICES[self.area])
        return rotating(
            self.credentials,
            lambda shown: (
                grpc.aio.insecure_channel(self.target, options=chosen)
                if shown is None
                else grpc.aio.secure_channel(self.target, shown, options=chosen)
            ),
        )


class Channels:
    """Channels that belong to the event loop, each opened at its first use.

    Args:
        backends: The services.
    """

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._backends = {backend.area: backend for backend in backends}
        self._open: dict[str, grpc.aio.Channel] = {}

    def __contains__(self, area: str) -> bool:
        return area in self._backends

    def of(self, area: str) -> grpc.aio.Channel:
        """Return the channel to an area."""
        if area not in self._open:
            self._open[area] = self._backends[area].connect_on_event_loop()
        return self._open[area]

    async def close(self) -> None:
        """Close the channels, on the event loop that used them."""
        for channel in self._open.values():
            await channel.close()


class BackendHealth:
    """Checks the health of the services over the channels that requests use.

    Args:
        channels: Channels by area.
    """

    def __init__(self, channels: Mapping[str, grpc.Channel]) -> None:
        self._channels = channels

    def missing(self) -> list[str]:
        """Return the areas that are not ready; blocks for up to 2 s each."""
        return [
            area
            for area, channel in self._channels.items()
            if not all(_serves(channel, service.full_name) for service in SERVICES[area])
        ]


def _serves(channel: grpc.Channel, service: str) -> bool:
    try:
        reply = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service=service), timeout=_HEALTH_TIMEOUT_S
        )
    except grpc.RpcError:
        return False  # also when the service is overloaded: it refuses other calls as well
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)
