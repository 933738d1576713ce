from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit import paging
from modelyard_kit.artifacts import (
    ArtifactStore,
    Digest,
    Manifest,
    ManifestFile,
    UrlSigner,
    logical_path,
)
from modelyard_kit.calls import Call, reads, writes
from modelyard_kit.clock import Clock
from modelyard_kit.db import Database
from modelyard_kit.errors import DataLoss, FailedPrecondition, InvalidArgument
from modelyard_tracking import wire
from modelyard_tracking.operations import artifacts, trees
from modelyard_tracking.rules.artifacts import (
    LEASE_MS,
    Owner,
    OwnerKind,
    checked_files,
    objects_of,
)
from modelyard_tracking.rules.values import checked_model_id, run_id_of
from modelyard_tracking.servicer.owners import owner_of
from modelyard_tracking.servicer.presigning import Presigning

_ENTRIES_A_PAGE = 1_000
_DOWNLOAD_S = 15 * 60


class ArtifactsServicer(Presigning):
    """The RPCs about trees of files. The store is asked before a transaction opens.

    Every adapter of the store hashes what it is given, so an object that is there is the one its
    digest names. An object that is there counts for whoever knows its digest: with one token,
    every caller may read every owner.

    Args:
        database: Tracking's.
        store: Keeps the bytes.
        signer: Makes URLs of files that are not one object of the store.
        clock: The time.
    """

    def __init__(
        self, database: Database, store: ArtifactStore, signer: UrlSigner, clock: Clock
    ) -> None:
        self.database = database
        self.store = store
        self.signer = signer
        self.clock = clock

    @reads
    def ListArtifacts(
        self, request: pb.ListArtifactsRequest, call: Call
    ) -> pb.ListArtifactsResponse:
        owner = Owner(OwnerKind.RUN, run_id_of(request.run_id, request.run_uuid))
        root_uri = trees.root_uri(call.session, owner, request.experiment_id)
        page, token = _page(call, owner, request.path, request.page_token)
        files = [wire.file_info(entry) for entry in page]
        return pb.ListArtifactsResponse(root_uri=root_uri, files=files, next_page_token=token)

    @reads
    def ListLoggedModelArtifacts(
        self, request: pb.ListLoggedModelArtifactsRequest, call: Call
    ) -> pb.ListLoggedModelArtifactsResponse:
        owner = Owner(OwnerKind.MODEL, checked_model_id(request.model_id))
        root_uri = trees.root_uri(call.session, owner, request.experiment_id)
        page, token = _page(call, owner, request.artifact_directory_path, request.page_token)
        return pb.ListLoggedModelArtifactsResponse(
            root_uri=root_uri,
            files=[wire.file_info(entry) for entry in page],
            next_page_token=token,
        )

    def DeclareArtifacts(
        self, request: pb.DeclareArtifactsRequest, context: grpc.ServicerContext
    ) -> pb.DeclareArtifactsResponse:
        owner, files = owner_of(request), _files(request)
        if not files:
            return self._ask_to_write(request, context, owner)
        objects = objects_of(files)
        missing = [digest for digest, size in objects.items() if not self._is_stored(digest, size)]
        return self._declare(request, context, owner, objects, missing)

    @reads
    def _ask_to_write(
        self, request: pb.DeclareArtifactsRequest, call: Call, owner: Owner
    ) -> pb.DeclareArtifactsResponse:
        trees.root_uri(call.session, owner, request.experiment_id)
        artifacts.require_writable(call.session, owner)
        return pb.DeclareArtifactsResponse()

    @writes
    def _declare(
        self,
        request: pb.DeclareArtifactsRequest,
        call: Call,
        owner: Owner,
        objects: dict[Digest, int],
        missing: Iterable[Digest],
    ) -> pb.DeclareArtifactsResponse:
        trees.root_uri(call.session, owner, request.experiment_id)
        artifacts.require_writable(call.session, owner)
        until_ms = artifacts.lease_objects(
            call.session, objects, call.now_ms, state=artifacts.DECLARED
        )
        expire_time = Timestamp()
        expire_time.FromMilliseconds(until_ms)
        reply = pb.DeclareArtifactsResponse(expire_time=expire_time)
        for digest in missing:
            put = self.store.presign_put(digest, objects[digest], LEASE_MS // 1000)
            reply.uploads.add(
                digest=digest, size_bytes=objects[digest], url=put.url, headers=put.headers
            )
        return reply

    def CommitArtifacts(
        self, request: pb.CommitArtifactsRequest, context: grpc.ServicerContext
    ) -> pb.CommitArtifactsResponse:
        owner, files = owner_of(request), _files(request)
        for file in files:
            for item in file.parts or (file,):
                if not self._is_stored(item.digest, item.size_bytes):
                    raise FailedPrecondition(
                        f"The bytes of '{file.path}' are not in the store: object {item.digest} "
                        "is missing. Declare the files, upload what is missing, then commit.",
                        path=file.path,
                        digest=item.digest,
                    )
        return self._commit(request, context, owner, files)

    @writes
    def _commit(
        self,
        request: pb.CommitArtifactsRequest,
        call: Call,
        owner: Owner,
        files: list[ManifestFile],
    ) -> pb.CommitArtifactsResponse:
        artifacts.require_writable(call.session, owner)
        artifacts.lease_objects(
            call.session, objects_of(files), call.now_ms, state=artifacts.STORED
        )
        artifacts.commit_files(call.session, owner, files)
        return pb.CommitArtifactsResponse()

    @reads
    def GetArtifacts(self, request: pb.GetArtifactsRequest, call: Call) -> pb.GetArtifactsResponse:
        owner = owner_of(request)
        trees.root_uri(call.session, owner, request.experiment_id)
        files = trees.files_at(call.session, owner, _optional_path(request.path))
        if not files:
            raise trees.no_artifacts(owner, request.path)
        return pb.GetArtifactsResponse(
            files=[wire.artifact_file(file) for file in files],
            downloads=[
                pb.ObjectDownload(
                    digest=digest,
                    size_bytes=size_bytes,
                    url=self.store.presign_get(digest, _DOWNLOAD_S),
                )
                for digest, size_bytes in objects_of(files).items()
            ],
        )

    @writes
    def DeleteArtifacts(
        self, request: pb.DeleteArtifactsRequest, call: Call
    ) -> pb.DeleteArtifactsResponse:
        owner = owner_of(request)
        trees.root_uri(call.session, owner, request.experiment_id)
        artifacts.require_writable(call.session, owner)
        if not artifacts.delete_files(call.session, owner, _optional_path(request.path)):
            raise trees.nothing_to_delete(call.session, owner, request.path)
        return pb.DeleteArtifactsResponse()

    def SealManifest(
        self, request: pb.SealManifestRequest, context: grpc.ServicerContext
    ) -> pb.SealManifestResponse:
        owner, folder = owner_of(request), _optional_path(request.path)
        with self.database.read() as session:
            sealable = trees.sealable(session, owner, folder)
        for digest, size_bytes in objects_of(sealable.files).items():
            if self.store.size_bytes(digest) != size_bytes:
                raise DataLoss(
                    f"The object {digest} of {owner} is not in the store; log its file again.",
                    digest=digest,
                )
        manifest = Manifest(sealable.files)
        data = manifest.to_bytes()
        self.store.put(manifest.digest, [data], len(data))
        return self._seal(request, context, sealable, manifest.digest, data)

    @writes
    def _seal(
        self,
        request: pb.SealManifestRequest,
        call: Call,
        sealed: trees.Sealable,
        digest: Digest,
        data: bytes,
    ) -> pb.SealManifestResponse:
        # Leased until the registry has pinned the manifest.
        objects = objects_of(sealed.files)
        artifacts.lease_objects(call.session, objects, call.now_ms, state=artifacts.STORED)
        artifacts.lease_objects(
            call.session, {digest: len(data)}, call.now_ms, state=artifacts.STORED, is_manifest=True
        )
        return pb.SealManifestResponse(
            digest=digest,
            manifest=data,
            run_id=sealed.run_id,
            experiment_id=str(sealed.experiment_id),
            model_id=sealed.model_id,
        )

    def _is_stored(self, digest: Digest, size_bytes: int) -> bool:
        stored_bytes = self.store.size_bytes(digest)
        if stored_bytes is not None and stored_bytes != size_bytes:
            raise InvalidArgument(
                f"The object {digest} has {stored_bytes} bytes, not {size_bytes}.", digest=digest
            )
        return stored_bytes is not None


def _files(
    request: pb.DeclareArtifactsRequest | pb.CommitArtifactsRequest,
) -> list[ManifestFile]:
    files = [wire.file_of(message) for message in request.files]
    checked_files(files)
    return files


def _optional_path(path: str) -> str:
    return logical_path(path) if path else ""


def _page(call: Call, owner: Owner, path: str, page_token: str) -> tuple[list[trees.Entry], str]:
    query = paging.fingerprint("artifacts", owner.kind, owner.owner_id, path)
    cursor = paging.decode(page_token, query)
    after = str(cursor[0]) if cursor else ""
    found = [
        entry
        for entry in trees.entries(call.session, owner, _optional_path(path))
        if entry.path > after
    ]
    page = found[:_ENTRIES_A_PAGE]
    more = len(found) > _ENTRIES_A_PAGE
    return page, paging.encode((page[-1].path,), query) if more else ""
