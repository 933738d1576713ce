"""Objects of a store without an HTTP server of its own, served under signed URLs."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from starlette.responses import Response

from modelyard_gateway.artifacts.belonging import Belonging
from modelyard_gateway.artifacts.transfers import Download, Transfers, body_of
from modelyard_gateway.artifacts.uploads import Uploads
from modelyard_kit.artifacts import ArtifactStore, Digest, UrlGrant, UrlSigner
from modelyard_kit.errors import InvalidArgument, NotFound
from modelyard_kit.http.requests import Request

PREFIX = "/artifacts/objects/"


class Objects:
    """PUT, GET and HEAD of objects.

    Args:
        store: Holds the objects.
        signer: Verifies the URLs.
        belonging: Refuses a store that is not the one of tracking.
        transfers: Sends bytes to the HTTP client.
        uploads: Stores the bytes that are sent here.
    """

    def __init__(
        self,
        store: ArtifactStore,
        signer: UrlSigner,
        belonging: Belonging,
        transfers: Transfers,
        uploads: Uploads,
    ) -> None:
        self._store = store
        self._signer = signer
        self._belonging = belonging
        self._transfers = transfers
        self._uploads = uploads

    async def put(self, request: Request) -> Response:
        """Store an object, verifying its digest; wrong bytes leave nothing behind."""
        with self._transfers.active:
            grant = self._granted("PUT", request)
            size_bytes = grant.size_bytes
            if size_bytes is None:
                raise InvalidArgument("The URL has no size; use one that was signed for a PUT.")
            declared = request.headers.get("content-length", str(size_bytes))
            if declared != str(size_bytes):
                raise InvalidArgument(
                    f"Wrong Content-Length for object {grant.digest}: "
                    f"expected {size_bytes}, got {declared}."
                )
            chunks = body_of(request, asyncio.get_running_loop())
            await self._uploads.run(
                request, lambda: self._uploads.put(grant.digest, chunks, size_bytes, grant.sender)
            )
            return Response(headers={"etag": f'"{grant.digest}"'})

    async def get(self, request: Request) -> Response:
        """Return an object, or one range of it."""
        grant = self._granted("GET", request)
        await self._transfers.run(self._belonging.require)
        size_bytes = await self._transfers.run(lambda: self._store.size_bytes(grant.digest))
        if size_bytes is None:
            raise NotFound(f"No object {grant.digest} in the artifact store", digest=grant.digest)
        download = Download(grant.digest, [(grant.digest, size_bytes)], grant.filename)
        return await self._transfers.send(request, download)

    def _granted(self, method: Literal["GET", "PUT"], request: Request) -> UrlGrant:
        digest = Digest(request.path_params["rest"])
        return self._signer.verify(method, digest, request.query(), time.time())
