from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet

import grpc

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit.artifacts import ArtifactStore, Digest
from modelyard_kit.artifacts.reading import read_manifest
from modelyard_kit.artifacts.verifying import Verifier
from modelyard_kit.clock import Clock
from modelyard_kit.db import paging
from modelyard_kit.db.base import Database
from modelyard_kit.db.identity import Identity, id_in
from modelyard_kit.errors import DataLoss, Error, FailedPrecondition, InvalidArgument
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, write_step
from modelyard_tracking.clients import Registry
from modelyard_tracking.operations import damage
from modelyard_tracking.rules.artifacts import Owner, OwnerKind

logger = logging.getLogger(__name__)

_OBJECTS_PER_CALL = 1_000
_BYTES_PER_CALL = 512 << 20
_BYTES_PER_UPLOAD = 1 << 30
_QUERY = paging.fingerprint("verify")
_OWNER_FIELDS = {OwnerKind.RUN: "run_id", OwnerKind.MODEL: "model_id"}
_MAX_SHOWN_CHARACTERS = 200

Places = dict[Digest, list[tuple[str, Digest]]]
"""For manifests by digest: paths and objects of files. The path of the manifest itself is empty."""


class Checking:
    """Checks of objects, and marks of those that are damaged or missing.

    A mark is a row here, and a text at the registry for the manifests that need the object. The
    registry is sent all texts each time, so a call that fails is made up for by the next one.
    """

    database: Database
    store: ArtifactStore
    clock: Clock
    registry: Registry
    identity: Identity
    verifier: Verifier

    def InspectObjects(
        self, request: pb.InspectObjectsRequest, context: grpc.ServicerContext
    ) -> pb.InspectObjectsResponse:
        digests = list(map(Digest, request.digests))
        damaged = self._check(context, digests, request.reread) if digests else {}
        with self.database.read(caller.get().remaining_s()) as session:
            installation_id = id_in(session, "tracking")
        return pb.InspectObjectsResponse(damaged=damaged, installation_id=installation_id)

    def ScrubObjects(
        self, request: pb.ScrubObjectsRequest, context: grpc.ServicerContext
    ) -> pb.ScrubObjectsResponse:
        after = _position(request.page_token)
        with self.database.read(caller.get().remaining_s()) as session:
            page = damage.page_of_objects(session, after, _OBJECTS_PER_CALL, _BYTES_PER_CALL)
        sizes = dict(page)
        damaged = self.verifier.damaged_among(sizes, context.is_active, reread=True)
        objects = self._described(damaged, sizes)
        # An object that nothing has is not missed: its upload may not have come yet.
        needed = {
            Digest(found.digest): found.missing
            for found in objects
            if found.files or found.versions or not found.missing
        }
        if self._marks(sizes) != needed:
            self._mark(context, sizes, needed)
            self._publish()
        elif not page:
            self._publish()
        return pb.ScrubObjectsResponse(
            objects=[found for found in objects if found.digest in needed],
            examined=len(page),
            examined_bytes=sum(sizes.values()),
            next_page_token=paging.encode((page[-1][0],), _QUERY) if page else "",
        )

    def _require_intact(
        self, context: grpc.ServicerContext, owner: Owner, digests: Collection[Digest]
    ) -> None:
        """Refuse objects that are damaged or missing, and mark them.

        Raises:
            DataLoss: The bytes of an object of the owner are wrong or missing.
        """
        for digest, is_missing in self._check(context, digests).items():
            state = "is not in the store" if is_missing else "is damaged in the store"
            raise DataLoss(
                f"The object {digest} of {owner} {state}; log its file again.", digest=digest
            )

    def _check(
        self,
        context: grpc.ServicerContext,
        digests: Collection[Digest],
        reread: bool = False,  # noqa: FBT001, FBT002 - the field of the request
    ) -> dict[Digest, bool]:
        """Read objects and mark the damaged ones; return those, each with whether it is missing."""
        damaged = self.verifier.damaged_among(digests, context.is_active, reread=reread)
        if self._marks(digests) != damaged:
            self._mark(context, digests, damaged)
            self._publish()
        return damaged

    def _damaged_of(
        self, context: grpc.ServicerContext, stored: Mapping[Digest, int]
    ) -> AbstractSet[Digest]:
        """Return the objects of an upload that are damaged, so that it brings them again.

        Args:
            context: Context of the call.
            stored: Sizes in bytes, by digest. Objects that are not marked are read up to 1 GiB in
                all: beyond that, the upload would take longer than it saves.
        """
        if not stored:
            return set()
        marked = self._marks(stored)
        total_bytes = 0
        others = []
        for digest, size_bytes in stored.items():
            total_bytes += size_bytes
            if total_bytes <= _BYTES_PER_UPLOAD and digest not in marked:
                others.append(digest)
        damaged = self.verifier.damaged_among(others, context.is_active)
        if damaged:
            self._mark(context, damaged, damaged)
            self._publish()
        return {*damaged, *(self._check(context, marked, reread=True) if marked else ())}

    def _require_repaired(self, context: grpc.ServicerContext, marked: Collection[Digest]) -> None:
        """Remove the marks of objects that have been uploaded again, before a commit.

        Raises:
            FailedPrecondition: An object is still damaged.
        """
        if damaged := self._check(context, marked, reread=True) if marked else ():
            raise FailedPrecondition(
                f"The object {min(damaged)} is damaged in the store. Declare the files, upload the "
                "missing objects, then commit.",
                digest=min(damaged),
            )

    def _marks(self, digests: Collection[Digest] | None = None) -> dict[Digest, bool]:
        with self.database.read(caller.get().remaining_s()) as session:
            return damage.marked(session, digests)

    @write_step
    def _mark(
        self, call: Call, examined: Collection[Digest], damaged: Mapping[Digest, bool]
    ) -> None:
        damage.mark(call.session, examined, damaged, call.now_ms)

    def _publish(self) -> None:
        """Send the registry the damage of every manifest that versions are pinned to."""
        marks = self._marks()
        try:
            places = self._places(marks)
            self.registry.set_damaged_manifests(
                {manifest: _text(found, marks) for manifest, found in places.items()}
            )
        except Error as error:
            logger.warning("damaged versions were not marked", extra={"cause": error.message})

    def _places(self, objects: Collection[Digest]) -> Places:
        """Return the pinned manifests that have one of the objects, or cannot be read."""
        places: Places = {}
        for digest in self.registry.pinned_manifests(self.identity.require()):
            if digest in objects:
                places[digest] = [("", digest)]
                continue
            try:
                _, manifest = read_manifest(self.store, digest)
            except DataLoss:
                places[digest] = [("", digest)]
                continue
            found = [
                (file.path, item.digest)
                for file in manifest.files
                for item in file.parts or (file,)
                if item.digest in objects
            ]
            if found:
                places[digest] = found
        return places

    def _described(
        self, damaged: Mapping[Digest, bool], sizes: Mapping[Digest, int]
    ) -> list[pb.DamagedObject]:
        """Return damaged objects with the files and versions that have them."""
        described = {
            digest: pb.DamagedObject(digest=digest, size_bytes=sizes[digest], missing=missing)
            for digest, missing in sorted(damaged.items())
            if not (missing and self.store.has(digest))  # uploaded in the meantime
        }
        if not described:
            return []
        with self.database.read(caller.get().remaining_s()) as session:
            for digest, found in described.items():
                for row in damage.files_with(session, digest):
                    owner = {_OWNER_FIELDS[OwnerKind(row.owner_kind)]: row.owner_id}
                    found.files.add(path=row.path, **owner)
        for manifest, places in self._places(described).items():
            for name, version in self.registry.versions_pinned_to(manifest):
                for digest in {digest for _, digest in places} & described.keys():
                    described[digest].versions.add(name=name, version=version)
        return list(described.values())


def _text(places: list[tuple[str, Digest]], marks: Mapping[Digest, bool]) -> str:
    path, digest = places[0]
    subject = f"The bytes of '{path[:_MAX_SHOWN_CHARACTERS]}'" if path else "The manifest"
    others = len({path for path, _ in places}) - 1
    more = f", and those of {others} more files" if others else ""
    verb = "missing from" if marks.get(digest) else "damaged in"
    are = "are" if path else "is"
    remedy = "Log the file" if path else "Register the same files"
    return (
        f"{subject} {are} {verb} the store (object {digest}){more}. {remedy} again, or restore the "
        "object from a backup."
    )


def _position(page_token: str) -> str:
    cursor = paging.decode(page_token, _QUERY)
    if cursor is None:
        return ""
    match cursor:
        case (str(after),):
            return after
    raise InvalidArgument(
        "Invalid page_token: expected the next_page_token of an earlier reply, or an empty one to "
        "start again."
    )
