"""What tracking asks of the registry: which manifests registered versions need."""

from __future__ import annotations

import grpc

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard_kit.artifacts import Digest
from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.rpc.channel import ask

_A_PAGE = 10_000


class Registry:
    """The registry, as the sweep of objects sees it.

    Args:
        channel: To `RegistryService`; None for a service that has none and cannot sweep.
        token: The services' own; None where none is asked for.
    """

    def __init__(self, channel: grpc.Channel | None, token: str | None) -> None:
        self._stub = None if channel is None else RegistryServiceStub(channel)
        self._token = token

    def pinned_manifests(self) -> set[Digest]:
        """Return the digests of all manifests that versions point at.

        Raises:
            Unavailable: The registry cannot be reached.
            FailedPrecondition: There is none.
        """
        if self._stub is None:
            raise FailedPrecondition(
                "Nothing can be swept: this service was not told where the registry is, which "
                "knows what registered versions need. Set MODELYARD_REGISTRY_TARGET."
            )
        digests: set[Digest] = set()
        page_token = ""
        while True:
            request = pb.ListPinnedManifestsRequest(page_size=_A_PAGE, page_token=page_token)
            reply: pb.ListPinnedManifestsResponse = ask(
                "registry", self._stub.ListPinnedManifests, request, token=self._token
            )
            digests.update(map(Digest, reply.digests))
            page_token = reply.next_page_token
            if not page_token:
                return digests
