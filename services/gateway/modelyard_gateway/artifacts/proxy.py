"""MLflow's artifact proxy: files of runs, logged models and pinned manifests by logical path."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from starlette.responses import Response
from starlette.routing import BaseRoute

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_gateway.artifacts.clients import Identity, ServiceClients
from modelyard_gateway.artifacts.files import Files
from modelyard_gateway.artifacts.paths import (
    Owned,
    folder,
    owned_file,
    parse,
    path_in,
    unquoted_path_in,
)
from modelyard_gateway.artifacts.transfers import Transfers
from modelyard_gateway.artifacts.uploads import Uploads
from modelyard_gateway.calls import metadata_of
from modelyard_kit.errors import InvalidArgument, NotFound
from modelyard_kit.http.requests import Request
from modelyard_kit.http.responses import JsonResponse
from modelyard_kit.http.routing import Handler, below, exact

ROOTS = ("/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts")
_PRESIGNED_S = 5 * 60


class MlflowArtifacts:
    """Routes of MLflow's artifact proxy.

    Args:
        clients: Calls tracking to delete artifacts.
        files: Finds, lists and sends files.
        transfers: Runs short blocking work.
        uploads: Stores uploaded files.
    """

    def __init__(
        self, clients: ServiceClients, files: Files, transfers: Transfers, uploads: Uploads
    ) -> None:
        self._clients = clients
        self._files = files
        self._transfers = transfers
        self._uploads = uploads

    def routes(self, root: str) -> Iterator[BaseRoute]:
        yield exact(f"{root}/artifacts", {"GET": self.list})
        files: dict[str, Handler] = {"GET": self.get, "PUT": self.put, "DELETE": self.delete}
        yield below(f"{root}/artifacts/", files)
        yield below(f"{root}/presigned/", {"GET": self.presign})

    async def put(self, request: Request) -> Response:
        """Store the body as a file, replacing an existing one."""
        with self._transfers.active:
            artifact = owned_file(unquoted_path_in(request))
            if not artifact.path:
                raise InvalidArgument(f"'{artifact}' is a folder; name a file in it to upload.")
            identity = metadata_of(request)
            await self._transfers.run(lambda: self._uploads.check_writable(artifact, identity))
            await self._uploads.receive(request, artifact, identity)
        return JsonResponse({})

    async def get(self, request: Request) -> Response:
        """Return a file, or a range of it."""
        if not path_in(request):
            return await self.list(request)
        return await self._files.send(
            request, parse(unquoted_path_in(request)), metadata_of(request)
        )

    async def list(self, request: Request) -> Response:
        """Return one level of an artifact tree; a missing folder is empty."""
        text = request.query().get("path", "").strip("/")
        artifact, identity = folder(text), metadata_of(request)
        files = await self._transfers.run(lambda: list(self._files.entries(artifact, identity)))
        return JsonResponse({"files": files} if files else {})

    async def presign(self, request: Request) -> Response:
        """Return a URL that needs no token, from which a client can read ranges in parallel."""
        artifact, identity = parse(unquoted_path_in(request)), metadata_of(request)
        with self._transfers.reporting(request):
            download = await self._transfers.run(lambda: self._files.find(artifact, identity))
            url = await self._transfers.run(
                lambda: self._files.presigned_url(artifact, download, _PRESIGNED_S)
            )
        return JsonResponse({"url": url, "headers": {}, "file_size": download.size_bytes})

    async def delete(self, request: Request) -> Response:
        """Delete the files at or below a path from a tree; none need exist."""
        path, identity = unquoted_path_in(request).rstrip("/"), metadata_of(request)
        artifact = owned_file(path)
        await self._transfers.run(lambda: self._delete(artifact, identity))
        return JsonResponse({})

    def _delete(self, artifact: Owned, identity: Identity) -> None:
        self._uploads.check_writable(artifact, identity)
        message = pb.DeleteArtifactsRequest(**artifact.owner, path=artifact.path)
        # The owner exists, so only the files are missing; MLflow's proxy answers 200 in that case.
        with contextlib.suppress(NotFound):
            self._clients.artifacts("DeleteArtifacts", message, identity)
