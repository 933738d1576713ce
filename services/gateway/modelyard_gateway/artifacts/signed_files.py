"""Files under signed URLs that contain their path; the signature authorizes the request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

from starlette.responses import Response
from starlette.routing import BaseRoute

from modelyard_gateway.artifacts.clients import ServiceClients
from modelyard_gateway.artifacts.files import Files
from modelyard_gateway.artifacts.multipart import part_tag
from modelyard_gateway.artifacts.paths import owned_file, parse, path_in
from modelyard_gateway.artifacts.transfers import Transfers
from modelyard_gateway.artifacts.uploads import Uploads
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.http.requests import Request
from modelyard_kit.http.routing import below

PREFIX = "/artifacts/files/"


class SignedFiles:
    """PUT, GET and HEAD of files without a known digest, or of several objects.

    Args:
        signer: Verifies the URLs.
        clients: Calls services as the gateway: the caller was authorized when the URL was signed.
        files: Finds and sends files.
        transfers: Runs short blocking work.
        uploads: Stores uploaded files.
    """

    def __init__(
        self,
        signer: UrlSigner,
        clients: ServiceClients,
        files: Files,
        transfers: Transfers,
        uploads: Uploads,
    ) -> None:
        self._signer = signer
        self._clients = clients
        self._files = files
        self._transfers = transfers
        self._uploads = uploads

    def routes(self) -> Iterator[BaseRoute]:
        yield below(PREFIX, {"GET": self.get, "PUT": self.put})

    async def get(self, request: Request) -> Response:
        """Return a file, or a range of it."""
        path, _ = self._granted("GET", request)
        identity = self._clients.own_identity(request)
        return await self._files.send(request, parse(path), identity)

    async def put(self, request: Request) -> Response:
        """Store the body as a file, or as a part of a multipart upload."""
        with self._transfers.active:
            path, granted = self._granted("PUT", request)
            artifact, identity = owned_file(path), self._clients.own_identity(request)
            await self._transfers.run(lambda: self._uploads.check_writable(artifact, identity))
            is_part = "part" in granted
            file = await self._uploads.receive(request, artifact, identity, is_part=is_part)
        tag: str = file.digest
        if is_part:
            objects = [item.digest for item in file.parts or (file,)]
            tag = part_tag(self._signer, artifact, granted, objects)
        return Response(headers={"etag": f'"{tag}"'})

    def _granted(
        self, method: Literal["GET", "PUT"], request: Request
    ) -> tuple[str, dict[str, str]]:
        path = path_in(request)
        return path, self._signer.check(method, path, request.query(), time.time())
