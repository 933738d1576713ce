from __future__ import annotations

import threading
from collections.abc import Set as AbstractSet

import grpc

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit.artifacts import (
    ArtifactStore,
    Digest,
    Manifest,
    ManifestFile,
    PresignedPut,
    UrlSigner,
    logical_path,
)
from modelyard_kit.artifacts.verifying import Verifier
from modelyard_kit.clock import Clock
from modelyard_kit.db import paging
from modelyard_kit.db.base import Database
from modelyard_kit.db.identity import Identity
from modelyard_kit.errors import DataLoss, FailedPrecondition, InvalidArgument, Unavailable
from modelyard_kit.observability.metrics import digest_mismatches
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, reads, write_step, writes
from modelyard_tracking import wire
from modelyard_tracking.clients import Registry
from modelyard_tracking.models import StoredObject
from modelyard_tracking.operations import artifacts, levels, trees
from modelyard_tracking.operations.missing import missing_of, replace_missing
from modelyard_tracking.rules.artifacts import (
    LEASE_MS,
    Owner,
    OwnerKind,
    checked_files,
    checked_missing,
    objects_of,
)
from modelyard_tracking.rules.values import checked_model_id, run_id_of
from modelyard_tracking.servicer.erasing import Erasing
from modelyard_tracking.servicer.owners import owner_of
from modelyard_tracking.servicer.presigning import Presigning
from modelyard_tracking.servicer.proof_of_possession import ProofOfPossession

_ENTRIES_PER_PAGE = 1_000
_DOWNLOAD_S = 15 * 60


class ArtifactsServicer(Presigning, Erasing):
    """All RPCs of `ArtifactsService`. The store is queried before a transaction opens.

    Uploads to a store that does not verify digests are hashed when they are committed, so every
    object of a tree has the bytes of its digest. For a caller with a scope, a stored object counts
    only if a tree that the caller can see contains it, or if the caller uploaded it.

    Args:
        database: Database of tracking.
        store: Store for the bytes of artifacts.
        signer: Signs URLs of files that are not a single object of the store.
        clock: Returns Unix time in milliseconds.
        registry: Client of the registry, for the sweep.
        identity: Identity of the installation, which a sweep requires.
        proof_of_possession: Decides which stored objects the caller may reference.
    """

    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        signer: UrlSigner,
        clock: Clock,
        registry: Registry,
        identity: Identity,
        proof_of_possession: ProofOfPossession,
    ) -> None:
        self.database = database
        self.store = store
        self.signer = signer
        self.clock = clock
        self.registry = registry
        self.identity = identity
        self._proof_of_possession = proof_of_possession
        self.verifier = Verifier(store, digest_mismatches.labels("check").inc)
        self._sweeping = threading.Lock()

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
        files = [wire.file_info(entry) for entry in page]
        return pb.ListLoggedModelArtifactsResponse(
            root_uri=root_uri, files=files, next_page_token=token
        )

    @reads
    def CheckArtifactsWritable(
        self, request: pb.CheckArtifactsWritableRequest, call: Call
    ) -> pb.CheckArtifactsWritableResponse:
        owner = owner_of(request)
        trees.root_uri(call.session, owner, request.experiment_id)
        artifacts.require_writable(call.session, owner)
        return pb.CheckArtifactsWritableResponse()

    def DeclareArtifacts(
        self, request: pb.DeclareArtifactsRequest, context: grpc.ServicerContext
    ) -> pb.DeclareArtifactsResponse:
        owner, files = owner_of(request), _files(request)
        objects = objects_of(files)
        leased_until_ms = self._declare(context, request, owner, objects)
        unproven = self._proof_of_possession.unproven(objects)
        # Looked up after the lease, so that no sweep removes what is found.
        stored = self._stored(objects, unproven)
        damaged = self._damaged_of(context, stored)
        missing = {
            digest: size
            for digest, size in objects.items()
            if digest not in stored or digest in damaged
        }
        if missing.keys() - unproven and not self.store.trusted:
            self._reset_missing(context, missing.keys() - unproven)
        reply = pb.DeclareArtifactsResponse()
        reply.expire_time.FromMilliseconds(leased_until_ms)
        for digest, size_bytes in missing.items():
            if digest in unproven:
                put = self._proof_of_possession.presign(digest, size_bytes)
            elif digest in damaged:  # the store may refuse to overwrite it, the gateway does not
                expires_at_s = leased_until_ms // 1000
                put = PresignedPut(self.signer.put_url(digest, size_bytes, expires_at_s), {})
            else:
                put = self.store.presign_put(digest, size_bytes, LEASE_MS // 1000)
            reply.uploads.append(_upload(digest, size_bytes, put))
        return reply

    @write_step
    def _reset_missing(self, call: Call, missing: AbstractSet[Digest]) -> None:
        """Mark objects that the store lost as declared, so that new uploads of them are hashed."""
        artifacts.reset_to_declared(call.session, missing)

    @write_step
    def _declare(
        self,
        call: Call,
        request: pb.DeclareArtifactsRequest,
        owner: Owner,
        objects: dict[Digest, int],
    ) -> int:
        """Lease the objects of declared files; return the end of the lease, Unix time in ms."""
        trees.root_uri(call.session, owner, request.experiment_id)
        artifacts.require_writable(call.session, owner)
        return _lease(call, objects)

    def CommitArtifacts(
        self, request: pb.CommitArtifactsRequest, context: grpc.ServicerContext
    ) -> pb.CommitArtifactsResponse:
        owner, files = owner_of(request), _files(request)
        objects = objects_of(files)
        known = self._known(objects)
        if len(known) < len(objects) or _leased_until_ms(known) <= self.clock():
            self._renew_leases(context, owner, objects)
            known = self._known(objects)
        self._require_bytes(files, objects, known)
        marked = [digest for digest, row in known.items() if row.damaged is not None]
        self._require_repaired(context, marked)
        return self._commit(request, context, owner, files, _leased_until_ms(known))

    @write_step
    def _renew_leases(self, call: Call, owner: Owner, objects: dict[Digest, int]) -> None:
        """Lease the objects of files until the commit."""
        artifacts.require_writable(call.session, owner)
        _lease(call, objects)

    def _known(self, objects: dict[Digest, int]) -> dict[Digest, StoredObject]:
        with self.database.read(caller.get().remaining_s()) as session:
            return artifacts.known_objects(session, objects)

    def _require_bytes(
        self,
        files: list[ManifestFile],
        objects: dict[Digest, int],
        known: dict[Digest, StoredObject],
    ) -> None:
        stored = self._stored(objects, self._proof_of_possession.unproven(objects))
        for file in files:
            for item in file.parts or (file,):
                if item.digest not in stored:
                    raise FailedPrecondition(
                        f"The bytes of '{file.path}' are not in the store: object {item.digest} "
                        "is missing. Declare the files, upload the missing objects, then commit.",
                        path=file.path,
                        digest=item.digest,
                    )
        if not self.store.trusted:
            self._verify_uploads(files, known)

    def _verify_uploads(self, files: list[ManifestFile], known: dict[Digest, StoredObject]) -> None:
        """Hash new uploads to a store that does not verify digests.

        Objects that were committed before, and not lost since, are not read again: clients verify
        the digest when they load them.

        Raises:
            DataLoss: An object has other bytes; it was deleted, so that it can be uploaded again.
        """
        paths = {item.digest: file.path for file in files for item in file.parts or (file,)}
        uploaded = [digest for digest in paths if known[digest].state == artifacts.DECLARED]
        wrong = [digest for digest in uploaded if not self._verify_or_delete(digest)]
        if wrong:
            raise _wrong_bytes(f" for '{paths[wrong[0]]}'", wrong[0])

    def _verify_or_delete(self, digest: Digest) -> bool:
        """Return whether an object has the bytes of its digest; delete it if not."""
        if self.store.verify(digest):
            return True
        digest_mismatches.labels("upload").inc()
        self.store.delete(digest)
        return False

    @writes
    def _commit(
        self,
        request: pb.CommitArtifactsRequest,
        call: Call,
        owner: Owner,
        files: list[ManifestFile],
        leased_until_ms: int,
    ) -> pb.CommitArtifactsResponse:
        artifacts.require_writable(call.session, owner)
        if call.now_ms >= leased_until_ms:  # the objects may have been swept since
            raise Unavailable(
                "The leases ended between check and commit; nothing was written. Retry."
            )
        artifacts.commit_files(call.session, owner, files, call.now_ms)
        # Last, because this locks rows of objects that other runs may share.
        artifacts.lease_objects(
            call.session, objects_of(files), call.now_ms, state=artifacts.STORED
        )
        return pb.CommitArtifactsResponse()

    @reads
    def GetArtifacts(self, request: pb.GetArtifactsRequest, call: Call) -> pb.GetArtifactsResponse:
        owner = owner_of(request)
        trees.root_uri(call.session, owner, request.experiment_id)
        files = _files_at(call, owner, request)
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
            missing=[
                pb.MissingFile(path=row.path, reason=row.reason)
                for row in (missing_of(call.session, owner) if request.own_files_only else ())
            ],
        )

    @writes
    def DeleteArtifacts(
        self, request: pb.DeleteArtifactsRequest, call: Call
    ) -> pb.DeleteArtifactsResponse:
        owner = owner_of(request)
        trees.root_uri(call.session, owner, request.experiment_id)
        artifacts.require_writable(call.session, owner)
        path = _optional_path(request.path)
        if not artifacts.delete_files(call.session, owner, path, call.now_ms):
            raise trees.nothing_to_delete(call.session, owner, request.path)
        return pb.DeleteArtifactsResponse()

    @writes
    def SetMissingArtifacts(
        self, request: pb.SetMissingArtifactsRequest, call: Call
    ) -> pb.SetMissingArtifactsResponse:
        owner = owner_of(request)
        files = [(file.path, file.reason) for file in request.files]
        checked_missing(files)
        trees.root_uri(call.session, owner)
        replace_missing(call.session, owner, files)
        return pb.SetMissingArtifactsResponse()

    def SealManifest(
        self, request: pb.SealManifestRequest, context: grpc.ServicerContext
    ) -> pb.SealManifestResponse:
        owner, folder = owner_of(request), _optional_path(request.path)
        reply = self._seal(request, context, owner, folder)
        objects = objects_of(Manifest.from_bytes(reply.manifest).files)
        self._require_intact(context, owner, objects)
        self.store.put(Digest(reply.digest), [reply.manifest], len(reply.manifest))
        self._require_repaired(context, self._marks([Digest(reply.digest)]))
        return reply

    @writes
    def _seal(
        self, request: pb.SealManifestRequest, call: Call, owner: Owner, folder: str
    ) -> pb.SealManifestResponse:
        """Lease the objects of a tree and its manifest, to give the registry time to pin it."""
        contents = trees.manifest_contents(call.session, owner, folder)
        manifest = Manifest(contents.files)
        data, digest = manifest.to_bytes(), manifest.digest
        session, now_ms = call.session, call.now_ms
        # DECLARED: an object that the store lost may be uploaded again, with bytes still to verify.
        artifacts.lease_objects(
            session, objects_of(contents.files), now_ms, state=artifacts.DECLARED
        )
        artifacts.lease_objects(
            session, {digest: len(data)}, now_ms, state=artifacts.DECLARED, is_manifest=True
        )
        return pb.SealManifestResponse(
            digest=digest,
            manifest=data,
            run_id=contents.run_id,
            experiment_id=str(contents.experiment_id),
            model_id=contents.model_id,
        )

    def _stored(
        self, objects: dict[Digest, int], unproven: AbstractSet[Digest]
    ) -> dict[Digest, int]:
        """Return sizes of the objects that are in the store, after checking that they match."""
        stored = self.store.sizes_bytes(objects.keys() - unproven)
        for digest, stored_bytes in stored.items():
            if stored_bytes == objects[digest]:
                continue
            if not self.store.trusted and not self._verify_or_delete(digest):
                raise _wrong_bytes("", digest)
            raise InvalidArgument(
                f"The object {digest} has {stored_bytes} bytes, not {objects[digest]}.",
                digest=digest,
            )
        return stored


def _leased_until_ms(known: dict[Digest, StoredObject]) -> int:
    return min((row.leased_until_ms for row in known.values()), default=0)


def _lease(call: Call, objects: dict[Digest, int]) -> int:
    return artifacts.lease_objects(call.session, objects, call.now_ms, state=artifacts.DECLARED)


def _wrong_bytes(purpose: str, digest: Digest) -> DataLoss:
    return DataLoss(
        f"The bytes uploaded{purpose} do not match the digest {digest}; they were deleted, and "
        "nothing was committed. Declare the files and upload them again.",
        digest=digest,
    )


def _upload(digest: Digest, size_bytes: int, put: PresignedPut) -> pb.ObjectUpload:
    return pb.ObjectUpload(digest=digest, size_bytes=size_bytes, url=put.url, headers=put.headers)


def _files(
    request: pb.DeclareArtifactsRequest | pb.CommitArtifactsRequest,
) -> list[ManifestFile]:
    files = [wire.file_of(message) for message in request.files]
    checked_files(files)
    return files


def _files_at(call: Call, owner: Owner, request: pb.GetArtifactsRequest) -> list[ManifestFile]:
    path = _optional_path(request.path)
    if request.file_only and request.own_files_only:
        raise InvalidArgument("Set one of file_only and own_files_only, not both.")
    if request.file_only:
        return [levels.file_at(call.session, owner, path)]
    files_at = trees.own_files_at if request.own_files_only else trees.files_at
    if files := files_at(call.session, owner, path):
        return files
    raise trees.no_artifacts(owner, path)


def _optional_path(path: str) -> str:
    return logical_path(path) if path else ""


def _page(call: Call, owner: Owner, path: str, page_token: str) -> tuple[list[levels.Entry], str]:
    query = paging.fingerprint("artifacts", owner.kind, owner.owner_id, path)
    cursor = paging.decode(page_token, query)
    after = str(cursor[0]) if cursor else ""
    found = levels.entries(call.session, owner, _optional_path(path), after, _ENTRIES_PER_PAGE + 1)
    page = found[:_ENTRIES_PER_PAGE]
    more = len(found) > _ENTRIES_PER_PAGE
    return page, paging.encode((page[-1].path,), query) if more else ""
