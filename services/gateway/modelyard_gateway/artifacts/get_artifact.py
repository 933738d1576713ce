"""Routes by which MLflow's UI downloads and uploads single files."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.responses import Response
from starlette.routing import BaseRoute

from modelyard.api.registry.v1 import registry_pb2
from modelyard_gateway.artifacts.clients import Identity, ServiceClients
from modelyard_gateway.artifacts.files import Files
from modelyard_gateway.artifacts.paths import ArtifactPath, Owned, Pinned
from modelyard_gateway.artifacts.transfers import Transfers
from modelyard_gateway.artifacts.uploads import Uploads
from modelyard_gateway.bodies import Bodies
from modelyard_gateway.calls import metadata_of
from modelyard_kit.artifacts import Digest, logical_path
from modelyard_kit.errors import FailedPrecondition, InvalidArgument, missing
from modelyard_kit.http.requests import Request
from modelyard_kit.http.responses import JsonResponse
from modelyard_kit.http.routing import exact

_MAX_UPLOAD_BYTES = 10 << 20
_FILES_OF_MODEL = "/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files"


class GetArtifact:
    """Single files of runs, logged models and model versions, by their path.

    Args:
        clients: Calls the registry for the manifest of a version.
        bodies: Admits bodies into memory.
        files: Finds and sends files.
        transfers: Runs short blocking work.
        uploads: Stores uploaded files.
    """

    def __init__(
        self,
        clients: ServiceClients,
        bodies: Bodies,
        files: Files,
        transfers: Transfers,
        uploads: Uploads,
    ) -> None:
        self._clients = clients
        self._bodies = bodies
        self._files = files
        self._transfers = transfers
        self._uploads = uploads

    def routes(self) -> Iterator[BaseRoute]:
        yield exact("/get-artifact", {"GET": self.of_run})
        yield exact("/model-versions/get-artifact", {"GET": self.of_version})
        yield exact(_FILES_OF_MODEL, {"GET": self.of_model})
        yield exact("/ajax-api/2.0/mlflow/upload-artifact", {"POST": self.upload})

    async def of_run(self, request: Request) -> Response:
        """Return a file of a run."""
        query = request.query()
        artifact = Owned("", _run_id(query), "", logical_path(_required(query, "path")))
        return await self._send(request, artifact)

    async def of_model(self, request: Request) -> Response:
        """Return a file of a logged model."""
        path = logical_path(_required(request.query(), "artifact_file_path"))
        return await self._send(request, Owned("", "", request.path_params["model_id"], path))

    async def of_version(self, request: Request) -> Response:
        """Return a file of the manifest that a version is pinned to."""
        query, identity = request.query(), metadata_of(request)
        name, version = _required(query, "name"), _required(query, "version")
        path = logical_path(_required(query, "path"))
        digest = await self._transfers.run(lambda: self._digest(name, version, identity))
        return await self._send(request, Pinned(digest, path))

    async def upload(self, request: Request) -> Response:
        """Store the body, of at most 10 MiB, as a file of a run."""
        with self._transfers.active:
            query, identity = request.query(), metadata_of(request)
            artifact = Owned("", _run_id(query), "", logical_path(_required(query, "path")))
            await self._transfers.run(lambda: self._uploads.check_writable(artifact, identity))
            async with self._bodies.hold(request, _MAX_UPLOAD_BYTES):
                data = await request.exchange.read(_MAX_UPLOAD_BYTES)
                if data is None:
                    raise InvalidArgument("Artifact size is too large. Max size is 10MB.")
                if not data:
                    raise InvalidArgument("Request must specify data.")
                await self._uploads.store(request, iter([data]), artifact, identity)
        return JsonResponse({})

    async def _send(self, request: Request, artifact: ArtifactPath) -> Response:
        return await self._files.send(request, artifact, metadata_of(request))

    def _digest(self, name: str, version: str, identity: Identity) -> Digest:
        message = registry_pb2.GetModelVersionRequest(name=name, version=version)
        reply: registry_pb2.GetModelVersionResponse = self._clients.registry(
            "GetModelVersion", message, identity
        )
        found = reply.model_version
        if not found.verified:
            raise FailedPrecondition(
                f"The files of {name} version {found.version} are not stored here: the version is "
                "not verified.",
                name=name,
                version=found.version,
            )
        return Digest(found.digest)


def _run_id(query: dict[str, str]) -> str:
    return query.get("run_id") or _required(query, "run_uuid")


def _required(query: dict[str, str], name: str) -> str:
    value = query.get(name, "")
    if not value:
        raise missing(name)
    return value
