"""Reading artifacts by logical path: what is at a place, as far as the caller may see it."""

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
from modelyard_gateway.artifacts.clients import Identity, ServiceClients
from modelyard_gateway.artifacts.paths import Experiment, Owned, Pinned, Place
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
# What a browser shows without running anything; text of any kind is sent as plain text.
_SHOWN = frozenset(
    {"application/json", "application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp"}
)
_TYPES = mimetypes.MimeTypes()  # Python's own table, not the machine's


class Files:
    """The files of runs, logged models and pinned manifests. Calls block, but for `send`.

    Args:
        store: Where the bytes are.
        signer: Makes URLs of files that are several objects.
        neighbours: Tell which files there are, to whom.
        transfers: Moves bytes to the client.
    """

    def __init__(
        self,
        store: ArtifactStore,
        signer: UrlSigner,
        neighbours: ServiceClients,
        transfers: Transfers,
    ) -> None:
        self._store = store
        self._signer = signer
        self._clients = neighbours
        self._transfers = transfers

    async def send(self, request: Request, place: Place, who: Identity) -> Response:
        """Answer with the file at a place, or the range of it that is asked for.

        Raises:
            Error: As `find` does.
            HttpError: The range is outside the file.
        """
        download = await self._transfers.run(lambda: self.find(place, who))
        return self._transfers.send(request, download)

    def find(self, place: Place, who: Identity) -> Download:
        """Return what to answer with for a place; blocks.

        Raises:
            NotFound: There is no such file.
            InvalidArgument: It is a folder.
            DataLoss: Its bytes are not in the store.
        """
        file = self._pinned(place, who) if isinstance(place, Pinned) else self._owned(place, who)
        objects = [(item.digest, item.size_bytes) for item in file.parts or (file,)]
        for digest, size_bytes in objects:
            if self._store.size_bytes(digest) != size_bytes:
                raise DataLoss(f"The bytes of '{place}' are missing from the store.", digest=digest)
        name = PurePosixPath(place.path).name
        return Download(file.digest, objects, name, _content_type(name))

    def presigned_url(self, place: Place, download: Download, expires_s: int) -> str:
        """Return a URL of what was found at a place, good for `expires_s` from now."""
        if len(download.objects) == 1:
            return self._store.presign_get(download.digest, expires_s, download.filename)
        return self._signer.file_url("GET", str(place), int(time.time()) + expires_s)

    def _owned(self, place: Owned, who: Identity) -> ManifestFile:
        message = pb.GetArtifactsRequest(**place.owner, path=place.path)
        reply: pb.GetArtifactsResponse = self._clients.artifacts("GetArtifacts", message, who)
        return _the_file(map(_file, reply.files), place)

    def _pinned(self, place: Pinned, who: Identity) -> ManifestFile:
        return _the_file(self._manifest(place, who).files, place)

    def _manifest(self, place: Pinned, who: Identity) -> Manifest:
        message = registry_pb2.GetPinnedManifestRequest(digest=place.digest)
        reply: registry_pb2.GetPinnedManifestResponse = self._clients.registry(
            "GetPinnedManifest", message, who
        )
        return Manifest.from_bytes(reply.manifest)

    def entries(self, place: Place | Experiment, who: Identity) -> Iterator[dict[str, object]]:
        """Yield one level of a tree by name, as MLflow's proxy lists it; blocks.

        Raises:
            NotFound: There is no such run, logged model or manifest.
        """
        if isinstance(place, Experiment):
            names = self._models(place, who) if place.is_models else self._runs(place, who)
            yield from ({"path": name, "is_dir": True} for name in names)
            return
        if isinstance(place, Pinned):
            yield from _level(self._manifest(place, who), place.path)
            return
        for info in self._infos(place, who):
            entry = {"path": PurePosixPath(info.path).name, "is_dir": info.is_dir}
            yield entry if info.is_dir else {**entry, "file_size": info.file_size}

    def _infos(self, place: Owned, who: Identity) -> Iterator[pb.FileInfo]:
        token = ""
        while True:
            reply = self._page(place, token, who)
            yield from reply.files
            token = reply.next_page_token
            if not token:
                return

    def _runs(self, place: Experiment, who: Identity) -> Iterator[str]:
        message = tracking_pb2.GetExperimentRequest(experiment_id=place.experiment_id)
        self._clients.tracking("GetExperiment", message, who)  # raises if there is none
        search = tracking_pb2.SearchRunsRequest(
            experiment_ids=[place.experiment_id],
            run_view_type=tracking_pb2.ALL,
            max_results=_RUNS_A_PAGE,
        )
        yield from sorted(
            run.info.run_id
            for reply in self._pages("SearchRuns", search, who)
            for run in reply.runs
        )
        if next(self._models(place, who), None) is not None:
            yield "models"

    def _models(self, place: Experiment, who: Identity) -> Iterator[str]:
        search = tracking_pb2.SearchLoggedModelsRequest(experiment_ids=[place.experiment_id])
        for reply in self._pages("SearchLoggedModels", search, who):
            yield from (model.info.model_id for model in reply.models)

    def _pages(self, rpc: str, search: Any, who: Identity) -> Iterator[Any]:
        while True:
            reply = self._clients.tracking(rpc, search, who)
            yield reply
            if not reply.next_page_token:
                return
            search.page_token = reply.next_page_token

    def _page(
        self, place: Owned, token: str, who: Identity
    ) -> pb.ListArtifactsResponse | pb.ListLoggedModelArtifactsResponse:
        reply: pb.ListArtifactsResponse | pb.ListLoggedModelArtifactsResponse
        if place.run_id:
            of_run = pb.ListArtifactsRequest(**place.owner, path=place.path, page_token=token)
            reply = self._clients.artifacts("ListArtifacts", of_run, who)
        else:
            of_model = pb.ListLoggedModelArtifactsRequest(
                **place.owner, artifact_directory_path=place.path, page_token=token
            )
            reply = self._clients.artifacts("ListLoggedModelArtifacts", of_model, who)
        return reply


def _the_file(files: Iterable[ManifestFile], place: Place) -> ManifestFile:
    is_folder = not place.path
    for file in files:
        if file.path == place.path:
            return file
        is_folder = is_folder or file.path.startswith(f"{place.path}/")
    if is_folder:
        raise InvalidArgument(f"'{place}' is a folder; list it, or name a file in it.")
    raise NotFound(f"There is no file '{place}'.", path=place.path)


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
    if encoding is None and guessed in _SHOWN:
        return guessed
    if encoding is None and guessed is not None and guessed.startswith("text/"):
        return "text/plain; charset=utf-8"
    return "application/octet-stream"
