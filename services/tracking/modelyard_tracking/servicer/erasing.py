from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.orm import Session

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit.artifacts import Digest, logical_path
from modelyard_kit.artifacts.reading import read_manifest
from modelyard_kit.errors import InvalidArgument
from modelyard_kit.rpc.calls import Call, write_step
from modelyard_tracking.operations import erasing, purging
from modelyard_tracking.operations.erasing import Part, Target
from modelyard_tracking.operations.origins import Kind
from modelyard_tracking.rules.artifacts import GRACE_MS, OwnerKind, objects_of
from modelyard_tracking.rules.values import (
    DEFAULT_EXPERIMENT,
    checked_model_id,
    checked_run_id,
    experiment_number,
)
from modelyard_tracking.servicer.purging import Purging
from modelyard_tracking.servicer.sweeping import ROWS

_PARTS = {
    Kind.RUN: set(Part),
    Kind.MODEL: {Part.PARAM, Part.TAG, Part.PATH},
    Kind.EXPERIMENT: {Part.TAG, Part.DATASET},
}


@dataclass(slots=True)
class _Erased:
    """What was erased, with the state of the objects that the erased files consisted of."""

    entries: int
    files: erasing.Files
    unused: dict[Digest, int] = field(default_factory=dict)
    """Ends of the leases of objects that nothing refers to, Unix time in milliseconds."""
    used: dict[Digest, pb.RemainingObject] = field(default_factory=dict)


class _DryRun(Exception):
    """Rolls the transaction back."""

    def __init__(self, erased: _Erased) -> None:
        super().__init__()
        self.erased = erased


class Erasing(Purging):
    """Erasing of personal data: rows in one transaction or as a purge, then objects as a sweep."""

    def EraseData(
        self, request: pb.EraseDataRequest, context: grpc.ServicerContext
    ) -> pb.EraseDataResponse:
        target = _target(request)
        now_ms = self.clock()  # before the pins are listed, as in a sweep
        has_files = target.part in {None, Part.PATH}
        pinned = self._pinned() if has_files else set()
        try:
            erased = self._erase(context, target, dry_run=request.dry_run)
        except _DryRun as result:
            erased = result.erased
        versions = self._versions(erased.files.objects, pinned)
        return self._reply(context, erased, versions, now_ms, dry_run=request.dry_run)

    def _reply(
        self,
        context: grpc.ServicerContext,
        erased: _Erased,
        versions: Mapping[Digest, list[pb.PinningVersion]],
        now_ms: int,
        *,
        dry_run: bool,
    ) -> pb.EraseDataResponse:
        sizes = erased.files.objects
        remaining = {**erased.used}
        for digest, pinning in versions.items():
            if digest in erased.unused:
                remaining[digest] = pb.RemainingObject()
            if digest in remaining:
                remaining[digest].versions.extend(pinning)
        free = {digest: sizes[digest] for digest in erased.unused if digest not in remaining}
        removed = {
            digest: size
            for digest, size in free.items()
            if erased.unused[digest] < now_ms - GRACE_MS
        }
        if removed and not dry_run:
            removed = self._remove(context, ROWS, removed, now_ms)
        for digest in free.keys() - removed:
            time = Timestamp()
            time.FromMilliseconds(erased.unused[digest] + GRACE_MS)
            remaining[digest] = pb.RemainingObject(removable_time=time)
        for digest, kept in remaining.items():
            kept.digest, kept.size_bytes = digest, sizes[digest]
        return pb.EraseDataResponse(
            entries=erased.entries,
            files=erased.files.count,
            files_bytes=erased.files.size_bytes,
            removed=[
                pb.UnusedObject(digest=digest, size_bytes=size)
                for digest, size in sorted(removed.items())
            ],
            remaining=[kept for _, kept in sorted(remaining.items())],
            unexamined_objects=erased.files.further_objects,
        )

    def _erase(self, context: grpc.ServicerContext, target: Target, *, dry_run: bool) -> _Erased:
        if target.part is not None:
            erased = self._erase_part(context, target, target.part, dry_run=dry_run)
        else:
            erased = self._claim_resource(context, target, dry_run=dry_run)
            self._purge(context, 0, sys.maxsize)
        self.database.empty_log()
        return erased

    @write_step
    def _erase_part(self, call: Call, target: Target, part: Part, *, dry_run: bool) -> _Erased:
        self.database.overwrite(call.session)
        resource = erasing.find_resource(call.session, target)
        if resource is None:  # purged
            return _Erased(0, erasing.Files(0, 0, {}, 0))
        files = erasing.files_of(call.session, target)
        count = erasing.erase_part(call.session, resource, part, target, call.now_ms)
        entries = count - files.count
        return _finished(_examined(call.session, target, entries, files), dry_run=dry_run)

    @write_step
    def _claim_resource(self, call: Call, target: Target, *, dry_run: bool) -> _Erased:
        self.database.overwrite(call.session)
        erasing.find_resource(call.session, target)
        files = erasing.files_of(call.session, target)
        purged = purging.count(call.session, purging.of_one(target.kind, target.resource_id))
        entries = purged.experiments + purged.runs + purged.logged_models
        purging.claim(call.session, target.kind, target.resource_id, call.now_ms)
        return _finished(_examined(call.session, target, entries, files), dry_run=dry_run)

    def _versions(
        self, objects: Mapping[Digest, int], pinned: set[Digest]
    ) -> dict[Digest, list[pb.PinningVersion]]:
        """Return the versions that are pinned to objects, for those that have any."""
        versions: dict[Digest, list[pb.PinningVersion]] = {}
        for digest in pinned if objects else ():
            _, manifest = read_manifest(self.store, digest)
            needed = objects_of(manifest.files).keys() & objects
            found = self.registry.versions_pinned_to(digest) if needed else ()
            for name, version in found:
                for object_digest in needed:
                    pinning = pb.PinningVersion(name=name, version=version)
                    versions.setdefault(object_digest, []).append(pinning)
        for pins in versions.values():
            pins.sort(key=lambda pin: (pin.name, int(pin.version)))
        return versions


def _examined(session: Session, target: Target, entries: int, files: erasing.Files) -> _Erased:
    erased = _Erased(entries, files)
    for digest, leased_until_ms in erasing.stored(session, list(files.objects)).items():
        others = erasing.other_files(session, target, digest)
        if not others:
            erased.unused[digest] = leased_until_ms
            continue
        erased.used[digest] = pb.RemainingObject(
            files=[
                pb.FileWithSameBytes(**{_OWNER_FIELDS[row.owner_kind]: row.owner_id}, path=row.path)
                for row in others
            ]
        )
    return erased


def _finished(erased: _Erased, *, dry_run: bool) -> _Erased:
    if dry_run:
        raise _DryRun(erased)
    return erased


_OWNER_FIELDS = {OwnerKind.RUN: "run_id", OwnerKind.MODEL: "model_id"}


def _target(request: pb.EraseDataRequest) -> Target:
    """Return what a request names.

    Raises:
        InvalidArgument: The request names no resource or several, several parts, a part that such
            a resource does not have, or the experiment Default itself.
    """
    given = [name for name in ("run_id", "model_id", "experiment_id") if getattr(request, name)]
    if len(given) != 1:
        raise InvalidArgument(
            "Give exactly one of run_id, model_id and experiment_id; "
            f"got {' and '.join(given) or 'none'}."
        )
    kind, resource_id = _resource(request)
    parts = [part for part in Part if request.HasField(part.value)]
    if len(parts) > 1:
        raise InvalidArgument(f"Give one of {' and '.join(parts)}, and erase the other afterwards.")
    if not parts:
        if resource_id == DEFAULT_EXPERIMENT:
            raise InvalidArgument(
                "The experiment '0', Default, cannot be erased; erase its runs and logged models.",
                experiment_id="0",
            )
        return Target(kind, resource_id)
    (part,) = parts
    name = getattr(request, part.value)
    if part not in _PARTS[kind] or not name:
        valid = " or ".join(sorted(_PARTS[kind]))
        raise InvalidArgument(
            f"Invalid value for parameter '{part}': '{name}'; with {given[0]}, give a {valid} that "
            "is not empty, or none to erase everything.",
            field=part,
        )
    return Target(kind, resource_id, part, logical_path(name) if part is Part.PATH else name)


def _resource(request: pb.EraseDataRequest) -> tuple[Kind, str | int]:
    if request.run_id:
        return Kind.RUN, checked_run_id(request.run_id)
    if request.model_id:
        return Kind.MODEL, checked_model_id(request.model_id)
    return Kind.EXPERIMENT, experiment_number(request.experiment_id)
