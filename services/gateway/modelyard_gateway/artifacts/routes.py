"""All routes of the edge for artifact bytes."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from starlette.routing import BaseRoute

from modelyard_gateway.artifacts import objects
from modelyard_gateway.artifacts.belonging import Belonging
from modelyard_gateway.artifacts.clients import ServiceClients
from modelyard_gateway.artifacts.files import Files
from modelyard_gateway.artifacts.get_artifact import GetArtifact
from modelyard_gateway.artifacts.multipart import Multipart
from modelyard_gateway.artifacts.proxy import ROOTS, MlflowArtifacts
from modelyard_gateway.artifacts.signed_files import SignedFiles
from modelyard_gateway.artifacts.transfers import Transfers
from modelyard_gateway.artifacts.uploads import UploadLimits, Uploads
from modelyard_gateway.bodies import Bodies
from modelyard_kit.artifacts import ArtifactStore, UrlSigner
from modelyard_kit.http.routing import below
from modelyard_kit.rpc.server import ActiveCalls


class ArtifactRoutes:
    """HTTP routes for artifact bytes: signed URLs of the store, and MLflow's proxy.

    Args:
        channels: Channels to the services, by area.
        bodies: Admits bodies into memory.
        store: Holds the bytes.
        signer: Signs and verifies URLs.
        active: Counts running transfers.
        token: The service token; None if the services need none.
        limits: Limits of uploads whose digest is not known beforehand.

    Attributes:
        belonging: Whether the store is the one of tracking.
    """

    def __init__(
        self,
        channels: Mapping[str, grpc.Channel],
        bodies: Bodies,
        store: ArtifactStore,
        signer: UrlSigner,
        active: ActiveCalls,
        token: str | None,
        limits: UploadLimits,
    ) -> None:
        self._clients = ServiceClients(channels, token)
        self._transfers = Transfers(store, self._clients, active)
        self.belonging = Belonging(store, self._clients)
        self._uploads = Uploads(store, signer, self._clients, self.belonging, limits)
        files = Files(store, signer, self._clients, self.belonging, self._transfers)
        self._objects = objects.Objects(
            store, signer, self.belonging, self._transfers, self._uploads
        )
        self._signed = SignedFiles(signer, self._clients, files, self._transfers, self._uploads)
        self._proxy = MlflowArtifacts(self._clients, files, self._transfers, self._uploads)
        self._pages = GetArtifact(self._clients, bodies, files, self._transfers, self._uploads)
        self._multipart = Multipart(signer, bodies, self._transfers, self._uploads)

    def routes(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            below(objects.PREFIX, {"GET": self._objects.get, "PUT": self._objects.put}),
            *self._signed.routes(),
            *self._pages.routes(),
            *(route for root in ROOTS for route in self._proxy.routes(root)),
            *(route for root in ROOTS for route in self._multipart.routes(root)),
        ]

    def close(self) -> None:
        """Release the threads, after the event loop has ended."""
        self._uploads.close()
        self._transfers.close()
