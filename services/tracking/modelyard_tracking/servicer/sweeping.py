from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice

import grpc

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_kit.artifacts import ArtifactStore, Digest, ObjectInfo
from modelyard_kit.artifacts.reading import read_manifest
from modelyard_kit.clock import Clock
from modelyard_kit.db import paging
from modelyard_kit.db.base import Database
from modelyard_kit.errors import Aborted, InvalidArgument
from modelyard_kit.rpc.calls import Call, caller, write_step
from modelyard_tracking.clients import Registry
from modelyard_tracking.metrics import gc_objects
from modelyard_tracking.operations import sweeping
from modelyard_tracking.operations.sweeping import Looked
from modelyard_tracking.rules.artifacts import CLAIM_MARGIN_MS, CLAIM_MS, STRAY_MS, objects_of

_A_LOOK = 1_000
_LOOKS_A_CALL = 50
_ENOUGH = 1_000  # objects that are removed by one call, about
_AT_ONCE = 8
_ROWS, _STRAYS = "rows", "strays"
_QUERY = paging.fingerprint("sweep")


class Sweeping:
    """The sweep of objects, a page each call: first the rows, then what the store has besides.

    What registered versions need is asked for first, and leases are compared with the time before
    that: a version registered meanwhile was sealed under a lease that was not over then.
    """

    database: Database
    store: ArtifactStore
    clock: Clock
    registry: Registry
    _sweeping: threading.Lock

    def SweepObjects(
        self, request: pb.SweepObjectsRequest, context: grpc.ServicerContext
    ) -> pb.SweepObjectsResponse:
        part, after = _place(request.page_token)
        now_ms = self.clock()
        with self._alone():
            pinned = self.registry.pinned_manifests()
            look = self._look_at_rows if part == _ROWS else self._look_at_strays
            looked = look(after, now_ms)
            unused = self._without_needed(looked.unused, pinned)
            if not request.dry_run and unused:
                unused = self._remove(context, part, unused, now_ms)
        return pb.SweepObjectsResponse(
            objects=[
                pb.UnusedObject(digest=digest, size_bytes=size_bytes)
                for digest, size_bytes in sorted(unused.items())
            ],
            examined=looked.examined,
            next_page_token=_next(part, looked.last),
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Several at once would be right, too, but leave no thread to those who upload.
        if not self._sweeping.acquire(blocking=False):
            raise Aborted("A sweep is running already; nothing was removed. Try again later.")
        try:
            yield
        finally:
            self._sweeping.release()

    def _look_at_rows(self, after: str, now_ms: int) -> Looked:
        unused: dict[Digest, int] = {}
        examined = 0
        for _ in range(_LOOKS_A_CALL):
            with self.database.read(caller.get().remaining_s()) as session:
                looked = sweeping.look_at_rows(session, after, now_ms, _A_LOOK)
            unused.update(looked.unused)
            examined += looked.examined
            after = looked.last
            if not after or len(unused) >= _ENOUGH:
                break
        return Looked(unused, examined, after)

    def _look_at_strays(self, after: str, now_ms: int) -> Looked:
        unused: dict[Digest, int] = {}
        examined = 0
        listed = self.store.list_objects(Digest(after) if after else None)
        for _ in range(_LOOKS_A_CALL):
            page = list(islice(listed, _A_LOOK))
            old = [found for found in page if found.modified_ms < now_ms - STRAY_MS]
            with self.database.read(caller.get().remaining_s()) as session:
                unused.update(sweeping.strays(session, _sizes(old)))
            examined += len(page)
            after = page[-1].digest if len(page) == _A_LOOK else ""
            if not after or len(unused) >= _ENOUGH:
                break
        return Looked(unused, examined, after)

    def _without_needed(
        self, unused: Mapping[Digest, int], pinned: set[Digest]
    ) -> dict[Digest, int]:
        """Return what no registered version needs: neither as its manifest nor as one of its files.

        Raises:
            DataLoss: A manifest is missing, so that what it needs cannot be told.
        """
        left = {digest: size for digest, size in unused.items() if digest not in pinned}
        for digest in pinned if left else ():
            _, manifest = read_manifest(self.store, digest)
            for needed in objects_of(manifest.files):
                left.pop(needed, None)
        return left

    def _remove(
        self,
        context: grpc.ServicerContext,
        part: str,
        unused: Mapping[Digest, int],
        now_ms: int,
    ) -> dict[Digest, int]:
        """Remove what can be claimed; whatever is left over, the next sweep finds again."""
        until_ms = self.clock() + CLAIM_MS
        digests = self._claim(context, part, unused, now_ms, until_ms)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sweep") as threads:
            deleted = list(threads.map(lambda digest: self._delete(digest, until_ms), digests))
        gone = [digest for digest, is_gone in zip(digests, deleted, strict=True) if is_gone]
        self._forget(context, gone, until_ms)
        gc_objects.labels("unreferenced" if part == _ROWS else "stray").inc(len(gone))
        return {digest: unused[digest] for digest in gone}

    @write_step
    def _claim(
        self, call: Call, part: str, unused: Mapping[Digest, int], now_ms: int, until_ms: int
    ) -> list[Digest]:
        if part == _ROWS:
            return sweeping.claim(call.session, unused, now_ms, until_ms)
        return sweeping.claim_strays(call.session, unused, until_ms)

    def _delete(self, digest: Digest, until_ms: int) -> bool:
        # A process that was stopped in between must not delete what others have uploaded since.
        if self.clock() >= until_ms - CLAIM_MARGIN_MS:
            return False
        self.store.delete(digest)
        return True

    @write_step
    def _forget(self, call: Call, digests: list[Digest], until_ms: int) -> None:
        sweeping.forget(call.session, digests, until_ms)


def _sizes(objects: list[ObjectInfo]) -> dict[Digest, int]:
    return {found.digest: found.size_bytes for found in objects}


def _place(page_token: str) -> tuple[str, str]:
    cursor = paging.decode(page_token, _QUERY)
    if cursor is None:
        return _ROWS, ""
    match cursor:
        case (str(part), str(after)) if part in {_ROWS, _STRAYS}:
            return part, after
    raise InvalidArgument("The page token is not one of a sweep; begin without.")


def _next(part: str, last: str) -> str:
    if last:
        return paging.encode((part, last), _QUERY)
    return paging.encode((_STRAYS, ""), _QUERY) if part == _ROWS else ""
