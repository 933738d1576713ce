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
from modelyard_kit.clock import Clock
from modelyard_kit.db import paging
from modelyard_kit.db.base import Database
from modelyard_kit.errors import DataLoss, FailedPrecondition, InvalidArgument, Unavailable
from modelyard_kit.rpc.calls import Call, caller, reads, write_step, writes
from modelyard_tracking import wire
from modelyard_tracking.clients import Registry
from modelyard_tracking.metrics import digest_mismatches
from modelyard_tracking.models import StoredObject
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
from modelyard_tracking.servicer.proof_of_possession import Possession
from modelyard_tracking.servicer.sweeping import Sweeping

_ENTRIES_A_PAGE = 1_000
_DOWNLOAD_S = 15 * 60


class ArtifactsServicer(Possession, Presigning, Sweeping):
    """The RPCs about trees of files. The store is asked before a transaction opens.

    What clients upload to a store that does not refuse other bytes is hashed when it is committed,
    so an object of any tree is the one its digest names. For a caller with a scope, an object that
    is there counts only if a tree that it sees has it, or if it sent the bytes itself.

    Args:
        database: Tracking's.
        store: Keeps the bytes.
        signer: Makes URLs of files that are not one object of the store.
        clock: The time.
        registry: Knows what registered versions need.
    """

    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        signer: UrlSigner,
        clock: Clock,
        registry: Registry,
    ) -> None:
        self.database = database
        self.store = store
        self.signer = signer
        self.clock = clock
        self.registry = registry
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
        return pb.ListLoggedModelArtifactsResponse(
            root_uri=root_uri,
            files=[wire.file_info(entry) for entry in page],
            next_page_token=token,
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
        withheld = self.withheld(objects)
        stored = self._stored(objects, withheld)  # after they are leased: what is there stays
        missing = {digest: size for digest, size in objects.items() if digest not in stored}
        if missing.keys() - withheld and not self.store.trusted:
            self._expect(context, missing.keys() - withheld)
        reply = pb.DeclareArtifactsResponse()
        reply.expire_time.FromMilliseconds(leased_until_ms)
        for digest, size_bytes in missing.items():
            if digest in withheld:
                put = self.presign_withheld(digest, size_bytes)
            else:
                put = self.store.presign_put(digest, size_bytes, LEASE_MS // 1000)
            reply.uploads.append(_upload(digest, size_bytes, put))
        return reply

    @write_step
    def _expect(self, call: Call, missing: AbstractSet[Digest]) -> None:
        """Have what the store lost be hashed when it comes again, though it was committed once."""
        artifacts.expect_objects(call.session, missing)

    @write_step
    def _declare(
        self,
        call: Call,
        request: pb.DeclareArtifactsRequest,
        owner: Owner,
        objects: dict[Digest, int],
    ) -> int:
        """Lease the objects of files that are to come; return until when, Unix time in ms."""
        trees.root_uri(call.session, owner, request.experiment_id)
        artifacts.require_writable(call.session, owner)
        return _lease(call, objects)

    def CommitArtifacts(
        self, request: pb.CommitArtifactsRequest, context: grpc.ServicerContext
    ) -> pb.CommitArtifactsResponse:
        owner, files = owner_of(request), _files(request)
        objects = objects_of(files)
        known = self._known(objects)
        if len(known) < len(objects) or _held_until_ms(known) <= self.clock():
            self._hold(context, owner, objects)
            known = self._known(objects)
        self._require_bytes(files, objects, known)
        return self._commit(request, context, owner, files, _held_until_ms(known))

    @write_step
    def _hold(self, call: Call, owner: Owner, objects: dict[Digest, int]) -> None:
        """Lease the objects of files until they are committed."""
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
        stored = self._stored(objects, self.withheld(objects))
        for file in files:
            for item in file.parts or (file,):
                if item.digest not in stored:
                    raise FailedPrecondition(
                        f"The bytes of '{file.path}' are not in the store: object {item.digest} "
                        "is missing. Declare the files, upload what is missing, then commit.",
                        path=file.path,
                        digest=item.digest,
                    )
        if not self.store.trusted:
            self._hash_what_came(files, known)

    def _hash_what_came(self, files: list[ManifestFile], known: dict[Digest, StoredObject]) -> None:
        """Read what was uploaded to a store that may have taken other bytes.

        What was committed before, and not lost since, is not read again: whoever loads it checks
        its digest.

        Raises:
            DataLoss: It is other bytes; they are deleted, so that the right ones can be uploaded.
        """
        paths = {item.digest: file.path for file in files for item in file.parts or (file,)}
        came = [digest for digest in paths if known[digest].state == artifacts.DECLARED]
        wrong = [digest for digest in came if not self._is_right(digest)]
        if wrong:
            raise _wrong_bytes(f"for '{paths[wrong[0]]}'", wrong[0])

    def _is_right(self, digest: Digest) -> bool:
        """Whether an object is what it is named; if not, it is deleted."""
        if self.store.verify(digest):
            return True
        digest_mismatches.inc()
        self.store.delete(digest)
        return False

    @writes
    def _commit(
        self,
        request: pb.CommitArtifactsRequest,
        call: Call,
        owner: Owner,
        files: list[ManifestFile],
        held_until_ms: int,
    ) -> pb.CommitArtifactsResponse:
        artifacts.require_writable(call.session, owner)
        if call.now_ms >= held_until_ms:  # what was looked at may have been swept since
            raise Unavailable(
                "The files were checked too long ago; nothing was written. Try again."
            )
        artifacts.commit_files(call.session, owner, files)
        # Last: others wait for these objects, and runs share some.
        artifacts.lease_objects(
            call.session, objects_of(files), call.now_ms, state=artifacts.STORED
        )
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
        reply = self._seal(request, context, owner, folder)
        objects = objects_of(Manifest.from_bytes(reply.manifest).files)
        stored = self.store.sizes_bytes(objects)
        for digest, size_bytes in objects.items():
            if stored.get(digest) != size_bytes:
                raise DataLoss(
                    f"The object {digest} of {owner} is not in the store; log its file again.",
                    digest=digest,
                )
        self.store.put(Digest(reply.digest), [reply.manifest], len(reply.manifest))
        return reply

    @writes
    def _seal(
        self, request: pb.SealManifestRequest, call: Call, owner: Owner, folder: str
    ) -> pb.SealManifestResponse:
        """Lease the files of a tree and their manifest until the registry has pinned it."""
        sealed = trees.sealable(call.session, owner, folder)
        manifest = Manifest(sealed.files)
        data, digest = manifest.to_bytes(), manifest.digest
        session, now_ms = call.session, call.now_ms
        # Of a file that the store lost, other bytes may be coming: sealing vouches for none.
        artifacts.lease_objects(session, objects_of(sealed.files), now_ms, state=artifacts.DECLARED)
        artifacts.lease_objects(
            session, {digest: len(data)}, now_ms, state=artifacts.DECLARED, is_manifest=True
        )
        return pb.SealManifestResponse(
            digest=digest,
            manifest=data,
            run_id=sealed.run_id,
            experiment_id=str(sealed.experiment_id),
            model_id=sealed.model_id,
        )

    def _stored(
        self, objects: dict[Digest, int], withheld: AbstractSet[Digest]
    ) -> dict[Digest, int]:
        """Return those of some objects that are in the store, which must have their sizes."""
        stored = self.store.sizes_bytes(objects.keys() - withheld)
        for digest, stored_bytes in stored.items():
            if stored_bytes == objects[digest]:
                continue
            if not self.store.trusted and not self._is_right(digest):
                raise _wrong_bytes("for it", digest)
            raise InvalidArgument(
                f"The object {digest} has {stored_bytes} bytes, not {objects[digest]}.",
                digest=digest,
            )
        return stored


def _held_until_ms(known: dict[Digest, StoredObject]) -> int:
    return min((row.leased_until_ms for row in known.values()), default=0)


def _lease(call: Call, objects: dict[Digest, int]) -> int:
    return artifacts.lease_objects(call.session, objects, call.now_ms, state=artifacts.DECLARED)


def _wrong_bytes(what: str, digest: Digest) -> DataLoss:
    return DataLoss(
        f"The bytes that came {what} are not the object {digest}; they were deleted, and nothing "
        "was committed. Declare the files and upload them again.",
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
