"""Client of the registry: the manifests that versions are pinned to, and those versions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import grpc

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard_kit.artifacts import Digest
from modelyard_kit.artifacts.marks import shown
from modelyard_kit.errors import FailedPrecondition
from modelyard_kit.rpc.channel import ask

_PAGE_SIZE = 10_000
_MAX_DAMAGED = 5_000  # what a message holds, whatever the paths


class Registry:
    """Client of the registry, used by the sweep and the checks of objects, and by erasing.

    Args:
        channel: Channel to `RegistryService`; None without a registry, which refuses sweeps.
        token: Service token; None if the registry requires no token.
    """

    def __init__(self, channel: grpc.Channel | None, token: str | None) -> None:
        self._stub = None if channel is None else RegistryServiceStub(channel)
        self._token = token

    def pinned_manifests(self, installation_id: str) -> set[Digest]:
        """Return the digests of all manifests that versions are pinned to.

        Args:
            installation_id: Id of the installation that the registry must belong to.

        Raises:
            Unavailable: The registry cannot be reached.
            FailedPrecondition: No registry is configured, or it is of another installation.
        """
        digests: set[Digest] = set()
        page_token = ""
        while True:
            request = pb.ListPinnedManifestsRequest(page_size=_PAGE_SIZE, page_token=page_token)
            reply: pb.ListPinnedManifestsResponse = ask(
                "registry", self._registry.ListPinnedManifests, request, token=self._token
            )
            found = reply.installation_id or None
            if found != installation_id:
                raise FailedPrecondition(
                    f"The registry belongs to the installation {shown(found)}, "
                    f"tracking to {shown(installation_id)}; nothing was removed. Correct "
                    "MODELYARD_REGISTRY_TARGET."
                )
            digests.update(map(Digest, reply.digests))
            page_token = reply.next_page_token
            if not page_token:
                return digests

    def versions_pinned_to(self, manifest: Digest) -> list[tuple[str, str]]:
        """Return name and number of each version that is pinned to a manifest.

        Raises:
            Unavailable: The registry cannot be reached.
            FailedPrecondition: No registry is configured.
        """
        found: list[tuple[str, str]] = []
        request = pb.SearchModelVersionsRequest(filter=f"digest = '{manifest}'")
        while True:
            reply: pb.SearchModelVersionsResponse = ask(
                "registry", self._registry.SearchModelVersions, request, token=self._token
            )
            found += [(version.name, version.version) for version in reply.model_versions]
            request.page_token = reply.next_page_token
            if not reply.next_page_token:
                return found

    def set_damaged_manifests(self, damage: Mapping[Digest, str]) -> None:
        """Replace the manifests whose bytes are damaged, given with the text that versions show.

        At most 5,000 are sent; `ScrubObjects` lists all.

        Raises:
            Unavailable: The registry cannot be reached.
            FailedPrecondition: No registry is configured.
        """
        manifests = [
            pb.DamagedManifest(digest=digest, damage=text)
            for digest, text in islice(damage.items(), _MAX_DAMAGED)
        ]
        request = pb.SetDamagedManifestsRequest(manifests=manifests)
        ask("registry", self._registry.SetDamagedManifests, request, token=self._token)

    @property
    def _registry(self) -> Any:
        if self._stub is None:
            raise FailedPrecondition(
                "Objects are neither removed nor scrubbed without the registry, which lists the "
                "manifests that versions are pinned to. Set MODELYARD_REGISTRY_TARGET."
            )
        return self._stub
