"""MLflow's artifact proxy: files of runs, logged models and pinned manifests by logical path."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from starlette.responses import Response
from starlette.routing import BaseRoute

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_gateway.artifacts.clients import Identity, ServiceClients
from modelyard_gateway.artifacts.files import Files
from modelyard_gateway.artifacts.paths import Owned, folder, owned_file, parse
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
    """The proxy's routes.

    Args:
        neighbours: Tracking, to delete.
        files: What is where.
        transfers: Runs what blocks for a short time.
        uploads: Moves them here.
    """

    def __init__(
        self, neighbours: ServiceClients, files: Files, transfers: Transfers, uploads: Uploads
    ) -> None:
        self._clients = neighbours
        self._files = files
        self._transfers = transfers
        self._uploads = uploads

    def routes(self, root: str) -> Iterator[BaseRoute]:
        yield exact(f"{root}/artifacts", {"GET": self.list})
        files: dict[str, Handler] = {"GET": self.get, "PUT": self.put, "DELETE": self.delete}
        yield below(f"{root}/artifacts/", files)
        yield below(f"{root}/presigned/", {"GET": self.presign})

    async def put(self, request: Request) -> Response:
        """Keep the body as a file, in place of one that is there."""
        with self._transfers.active:
            place = owned_file(_rest(request))
            if not place.path:
                raise InvalidArgument(f"'{place}' is a folder; name a file in it to upload.")
            if request.query():
                raise InvalidArgument(
                    "An upload takes no parameters: the name of a file may not have a '?'."
                )
            who = metadata_of(request)
            await self._transfers.run(lambda: self._uploads.ask(place, who))
            await self._uploads.receive(request, place, who)
        return JsonResponse({})

    async def get(self, request: Request) -> Response:
        """Answer with a file or a range of it."""
        rest = _rest(request)
        if not rest:
            return await self.list(request)
        return await self._files.send(request, parse(rest), metadata_of(request))

    async def list(self, request: Request) -> Response:
        """Answer with one level of a tree; a folder that is not there is empty."""
        text = request.query().get("path", "").strip("/")
        place, who = folder(text), metadata_of(request)
        files = await self._transfers.run(lambda: list(self._files.entries(place, who)))
        return JsonResponse({"files": files} if files else {})

    async def presign(self, request: Request) -> Response:
        """Answer with a URL that needs no token, which a client can read in pieces at once."""
        place, who = parse(_rest(request)), metadata_of(request)
        download = await self._transfers.run(lambda: self._files.find(place, who))
        url = self._files.presigned_url(place, download, _PRESIGNED_S)
        return JsonResponse({"url": url, "headers": {}, "file_size": download.size_bytes})

    async def delete(self, request: Request) -> Response:
        """Take the files at or below a path out of a tree; there need not be any."""
        place, who = owned_file(_rest(request).rstrip("/")), metadata_of(request)
        await self._transfers.run(lambda: self._delete(place, who))
        return JsonResponse({})

    def _delete(self, place: Owned, who: Identity) -> None:
        self._uploads.ask(place, who)
        message = pb.DeleteArtifactsRequest(**place.owner, path=place.path)
        # The owner is there, so it is the files that are not; MLflow's proxy answers 200 then.
        with contextlib.suppress(NotFound):
            self._clients.artifacts("DeleteArtifacts", message, who)


def _rest(request: Request) -> str:
    rest: str = request.path_params["rest"]
    return rest
