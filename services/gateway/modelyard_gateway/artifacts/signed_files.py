"""Files under signed URLs that name their place: the URL is the permission."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal

from starlette.responses import Response
from starlette.routing import BaseRoute

from modelyard_gateway.artifacts.clients import ServiceClients
from modelyard_gateway.artifacts.files import Files
from modelyard_gateway.artifacts.multipart import part_tag
from modelyard_gateway.artifacts.paths import owned_file, parse
from modelyard_gateway.artifacts.transfers import Transfers
from modelyard_gateway.artifacts.uploads import Uploads
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.http.requests import Request
from modelyard_kit.http.routing import below

PREFIX = "/artifacts/files/"


class SignedFiles:
    """PUT, GET and HEAD of files whose digest is not known, or that are several objects.

    Args:
        signer: Made the URLs.
        neighbours: Are asked by the gateway itself: whoever has the URL was asked who he is when
            he got it.
        files: What is where.
        transfers: Runs what blocks for a short time.
        uploads: Moves them here.
    """

    def __init__(
        self,
        signer: UrlSigner,
        neighbours: ServiceClients,
        files: Files,
        transfers: Transfers,
        uploads: Uploads,
    ) -> None:
        self._signer = signer
        self._clients = neighbours
        self._files = files
        self._transfers = transfers
        self._uploads = uploads

    def routes(self) -> Iterator[BaseRoute]:
        yield below(PREFIX, {"GET": self.get, "PUT": self.put})

    async def get(self, request: Request) -> Response:
        """Answer with a file or a range of it."""
        path, _ = self._granted("GET", request)
        who = self._clients.own_identity(request)
        return await self._files.send(request, parse(path), who)

    async def put(self, request: Request) -> Response:
        """Keep the body as a file, or as a part of one that is completed later."""
        with self._transfers.active:
            path, granted = self._granted("PUT", request)
            place, who = owned_file(path), self._clients.own_identity(request)
            await self._transfers.run(lambda: self._uploads.ask(place, who))
            is_part = "part" in granted
            file = await self._uploads.receive(request, place, who, is_part=is_part)
        tag: str = file.digest
        if is_part:
            objects = [item.digest for item in file.parts or (file,)]
            tag = part_tag(self._signer, place, granted, objects)
        return Response(headers={"etag": f'"{tag}"'})

    def _granted(
        self, method: Literal["GET", "PUT"], request: Request
    ) -> tuple[str, dict[str, str]]:
        path = request.path_params["rest"]
        return path, self._signer.check(method, path, request.query(), time.time())
