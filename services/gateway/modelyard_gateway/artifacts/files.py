"""Reading artifacts by logical path, as far as the caller may see them."""

from __future__ import annotations

import mimetypes
import time
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from starlette.responses import Response

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard_gateway.artifacts.belonging import Belonging
from modelyard_gateway.artifacts.clients import Identity, ServiceClients
from modelyard_gateway.artifacts.paths import ArtifactPath, Experiment, Owned, Pinned
from modelyard_gateway.artifacts.transfers import Download, Transfers
from modelyard_kit.artifacts import (
    ArtifactStore,
    Digest,
    Manifest,
    ManifestFile,
    ManifestPart,
    UrlSigner,
)
from modelyard_kit.errors import DataLoss, InvalidArgument, NotFound
from modelyard_kit.http.requests import Request

_RUNS_A_PAGE = 1_000
# Types that a browser displays without running code; text of any kind is sent as plain text.
_INLINE = frozenset(
    {"application/json", "application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp"}
)
_TYPES = mimetypes.MimeTypes()  # Python's own table, independent of the machine's


class Files:
    """The files of runs, logged models and pinned manifests. Calls block, except `send`.

    Args:
        store: Holds the bytes.
        signer: Signs URLs of files that consist of several objects.
        clients: Looks up the files as the caller may see them.
        belonging: Refuses a store that is not the one of tracking.
        transfers: Sends bytes to the HTTP client.
    """

    def __init__(
        self,
        store: ArtifactStore,
        signer: UrlSigner,
        clients: ServiceClients,
        belonging: Belonging,
        transfers: Transfers,
    ) -> None:
        self._store = store
        self._signer = signer
        self._clients = clients
        self._belonging = belonging
        self._transfers = transfers

    async def send(self, request: Request, artifact: ArtifactPath, identity: Identity) -> Response:
        """Return a response with a file, or with the requested range of it.

        Raises:
            Error: As `find` does.
            HttpError: The range is outside the file.
        """
        with self._transfers.reporting(request):
            download = await self._transfers.run(lambda: self.find(artifact, identity))
        return await self._transfers.send(request, download)

    def find(self, artifact: ArtifactPath, identity: Identity) -> Download:
        """Return the file at a path, ready to send; blocks.

        Raises:
            NotFound: The file does not exist.
            InvalidArgument: The path is a folder.
            DataLoss: Bytes of the file are missing from the store.
            Unavailable: The store is not the one of tracking.
        """
        self._belonging.require()
        if isinstance(artifact, Pinned):
            file = self._pinned(artifact, identity)
        else:
            file = self._owned(artifact, identity)
        objects = [(item.digest, item.size_bytes) for item in file.parts or (file,)]
        for digest, size_bytes in objects:
            if self._store.size_bytes(digest) != size_bytes:
                message = f"The bytes of '{artifact}' are missing from the store."
                raise DataLoss(message, digest=digest)
        name = PurePosixPath(artifact.path).name
        return Download(file.digest, objects, name, _content_type(name))

    def presigned_url(self, artifact: ArtifactPath, download: Download, expires_s: int) -> str:
        """Return a URL of a found file that is valid for `expires_s` from now; blocks.

        Raises:
            DataLoss: The file is one object, which is damaged.
        """
        if len(download.objects) == 1:
            self._transfers.require_intact(download.digest)
            return self._store.presign_get(download.digest, expires_s, download.filename)
        return self._signer.file_url("GET", str(artifact), int(time.time()) + expires_s)

    def _owned(self, artifact: Owned, identity: Identity) -> ManifestFile:
        message = pb.GetArtifactsRequest(**artifact.owner, path=artifact.path, file_only=True)
        reply: pb.GetArtifactsResponse = self._clients.artifacts("GetArtifacts", message, identity)
        return _file(reply.files[0])

    def _pinned(self, artifact: Pinned, identity: Identity) -> ManifestFile:
        return _file_at(self._manifest(artifact, identity).files, artifact)

    def _manifest(self, artifact: Pinned, identity: Identity) -> Manifest:
        message = registry_pb2.GetPinnedManifestRequest(digest=artifact.digest)
        reply: registry_pb2.GetPinnedManifestResponse = self._clients.registry(
            "GetPinnedManifest", message, identity
        )
        return Manifest.from_bytes(reply.manifest)

    def entries(
        self, artifact: ArtifactPath | Experiment, identity: Identity
    ) -> Iterator[dict[str, object]]:
        """Yield one level of an artifact tree by name, as MLflow's proxy lists it; blocks.

        Raises:
            NotFound: The run, logged model or manifest does not exist.
        """
        if isinstance(artifact, Experiment):
            list_names = self._models if artifact.is_models else self._runs
            names = list_names(artifact, identity)
            yield from ({"path": name, "is_dir": True} for name in names)
            return
        if isinstance(artifact, Pinned):
            yield from _level(self._manifest(artifact, identity), artifact.path)
            return
        for info in self._infos(artifact, identity):
            entry = {"path": PurePosixPath(info.path).name, "is_dir": info.is_dir}
            yield entry if info.is_dir else {**entry, "file_size": info.file_size}

    def _infos(self, artifact: Owned, identity: Identity) -> Iterator[pb.FileInfo]:
        token = ""
        while True:
            reply = self._page(artifact, token, identity)
            yield from reply.files
            token = reply.next_page_token
            if not token:
                return

    def _runs(self, artifact: Experiment, identity: Identity) -> Iterator[str]:
        message = tracking_pb2.GetExperimentRequest(experiment_id=artifact.experiment_id)
        self._clients.tracking("GetExperiment", message, identity)  # raises NotFound
        search = tracking_pb2.SearchRunsRequest(
            experiment_ids=[artifact.experiment_id],
            run_view_type=tracking_pb2.ALL,
            max_results=_RUNS_A_PAGE,
        )
        yield from sorted(
            run.info.run_id
            for reply in self._pages("SearchRuns", search, identity)
            for run in reply.runs
        )
        if next(self._models(artifact, identity), None) is not None:
            yield "models"

    def _models(self, artifact: Experiment, identity: Identity) -> Iterator[str]:
        search = tracking_pb2.SearchLoggedModelsRequest(experiment_ids=[artifact.experiment_id])
        for reply in self._pages("SearchLoggedModels", search, identity):
            yield from (model.info.model_id for model in reply.models)

    def _pages(self, rpc: str, search: Any, identity: Identity) -> Iterator[Any]:
        while True:
            reply = self._clients.tracking(rpc, search, identity)
            yield reply
            if not reply.next_page_token:
                return
            search.page_token = reply.next_page_token

    def _page(
        self, artifact: Owned, token: str, identity: Identity
    ) -> pb.ListArtifactsResponse | pb.ListLoggedModelArtifactsResponse:
        reply: pb.ListArtifactsResponse | pb.ListLoggedModelArtifactsResponse
        if artifact.run_id:
            of_run = pb.ListArtifactsRequest(**artifact.owner, path=artifact.path, page_token=token)
            reply = self._clients.artifacts("ListArtifacts", of_run, identity)
        else:
            of_model = pb.ListLoggedModelArtifactsRequest(
                **artifact.owner, artifact_directory_path=artifact.path, page_token=token
            )
            reply = self._clients.artifacts("ListLoggedModelArtifacts", of_model, identity)
        return reply


def _file_at(files: Iterable[ManifestFile], artifact: ArtifactPath) -> ManifestFile:
    is_folder = not artifact.path
    for file in files:
        if file.path == artifact.path:
            return file
        is_folder = is_folder or file.path.startswith(f"{artifact.path}/")
    if is_folder:
        raise InvalidArgument(f"'{artifact}' is a folder; list it, or name a file in it.")
    raise NotFound(f"There is no file '{artifact}'.", path=artifact.path)


def _file(message: pb.ArtifactFile) -> ManifestFile:
    parts = [ManifestPart(Digest(part.digest), part.size_bytes) for part in message.parts]
    return ManifestFile(message.path, message.size_bytes, Digest(message.digest), tuple(parts))


def _level(manifest: Manifest, folder: str) -> Iterator[dict[str, object]]:
    prefix = f"{folder}/" if folder else ""
    level: dict[str, dict[str, object]] = {}
    for file in manifest.files:
        if file.path.startswith(prefix):
            name, _, below = file.path[len(prefix) :].partition("/")
            size = {} if below else {"file_size": file.size_bytes}
            level[name] = {"path": name, "is_dir": bool(below), **size}
    yield from level.values()


def _content_type(name: str) -> str:
    guessed, encoding = _TYPES.guess_type(name)
    if encoding is None and guessed in _INLINE:
        return guessed
    if encoding is None and guessed is not None and guessed.startswith("text/"):
        return "text/plain; charset=utf-8"
    return "application/octet-stream"
