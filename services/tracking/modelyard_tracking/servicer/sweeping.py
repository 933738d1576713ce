from __future__ import annotations

import logging
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
from modelyard_kit.db.identity import Identity
from modelyard_kit.errors import Aborted, FailedPrecondition, InvalidArgument
from modelyard_kit.rpc.caller import caller
from modelyard_kit.rpc.calls import Call, write_step
from modelyard_tracking.clients import Registry
from modelyard_tracking.metrics import gc_objects, gc_refused
from modelyard_tracking.operations import sweeping
from modelyard_tracking.operations.sweeping import Scan
from modelyard_tracking.rules.artifacts import (
    CLAIM_MARGIN_MS,
    CLAIM_MS,
    STRAY_MS,
    SWEPT_ANYWAY,
    SWEPT_SHARE,
    objects_of,
)

logger = logging.getLogger(__name__)

_SCAN_BATCH = 1_000
_BATCHES_PER_CALL = 50
_TARGET_PER_CALL = 1_000  # objects to remove by one call, approximately
_AT_ONCE = 8
ROWS, _STRAYS = "rows", "strays"
_QUERY = paging.fingerprint("sweep")


class Sweeping:
    """The sweep of objects, one page per call: first the rows, then stored objects without a row.

    The clock is read before the manifests of registered versions are listed, and leases are
    compared with that time: a version that is registered later was sealed under a lease that was
    still running then.
    """

    database: Database
    store: ArtifactStore
    clock: Clock
    registry: Registry
    identity: Identity
    _sweeping: threading.Lock

    def SweepObjects(
        self, request: pb.SweepObjectsRequest, context: grpc.ServicerContext
    ) -> pb.SweepObjectsResponse:
        part, after = _position(request.page_token)
        now_ms = self.clock()
        with self._exclusive(), _noted():
            pinned = self._pinned()
            if not (request.page_token or request.dry_run or request.force):
                self._refuse_too_much(pinned, now_ms)
            scan_objects = self._scan_rows if part == ROWS else self._scan_strays
            scan = scan_objects(after, now_ms)
            unused = self._without_pinned(scan.unused, pinned)
            if not request.dry_run and unused:
                unused = self._remove(context, part, unused, now_ms)
        return pb.SweepObjectsResponse(
            objects=[
                pb.UnusedObject(digest=digest, size_bytes=size_bytes)
                for digest, size_bytes in sorted(unused.items())
            ],
            examined=scan.examined,
            next_page_token=_next(part, scan.last),
        )

    def _pinned(self) -> set[Digest]:
        """Return the pinned manifests, if databases, registry and store are of one installation."""
        return self.registry.pinned_manifests(self.identity.require())

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        # Concurrent sweeps would be correct, but leave no threads for uploads.
        if not self._sweeping.acquire(blocking=False):
            raise Aborted("Another sweep is running; nothing was removed. Retry later.")
        try:
            yield
        finally:
            self._sweeping.release()

    def _refuse_too_much(self, pinned: set[Digest], now_ms: int) -> None:
        """Refuse a sweep that would remove so much that the database may not be the right one."""
        unused: dict[Digest, int] = {}
        counts = []
        for scan_objects in (self._scan_rows, self._scan_strays):
            scan = scan_objects("", now_ms)
            counts.append(scan.examined)
            unused.update(scan.unused)
            while scan.last:
                scan = scan_objects(scan.last, now_ms)
                counts[-1] += scan.examined
                unused.update(scan.unused)
        removed, total = len(self._without_pinned(unused, pinned)), max(counts)
        if removed > max(SWEPT_ANYWAY, total // SWEPT_SHARE):
            raise FailedPrecondition(
                f"The sweep would remove {removed:,} of {total:,} objects, more than a quarter; "
                "nothing was removed. Check that databases and store are the right ones, and with "
                "a dry run what would be removed; if it is intended, repeat the sweep with force."
            )

    def _scan_rows(self, after: str, now_ms: int) -> Scan:
        unused: dict[Digest, int] = {}
        examined = 0
        for _ in range(_BATCHES_PER_CALL):
            with self.database.read(caller.get().remaining_s()) as session:
                scan = sweeping.scan_rows(session, after, now_ms, _SCAN_BATCH)
            unused.update(scan.unused)
            examined += scan.examined
            after = scan.last
            if not after or len(unused) >= _TARGET_PER_CALL:
                break
        return Scan(unused, examined, after)

    def _scan_strays(self, after: str, now_ms: int) -> Scan:
        unused: dict[Digest, int] = {}
        examined = 0
        listed = self.store.list_objects(Digest(after) if after else None)
        for _ in range(_BATCHES_PER_CALL):
            page = list(islice(listed, _SCAN_BATCH))
            old = [found for found in page if found.modified_ms < now_ms - STRAY_MS]
            with self.database.read(caller.get().remaining_s()) as session:
                unused.update(sweeping.strays(session, _sizes(old)))
            examined += len(page)
            after = page[-1].digest if len(page) == _SCAN_BATCH else ""
            if not after or len(unused) >= _TARGET_PER_CALL:
                break
        return Scan(unused, examined, after)

    def _without_pinned(
        self, unused: Mapping[Digest, int], pinned: set[Digest]
    ) -> dict[Digest, int]:
        """Return the objects that are neither a pinned manifest nor a file of one.

        Raises:
            DataLoss: A pinned manifest is missing, so its files are unknown.
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
        """Remove the objects that can be claimed; the next sweep finds the others again."""
        until_ms = self.clock() + CLAIM_MS
        digests = self._claim(context, part, unused, now_ms, until_ms)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sweep") as threads:
            deleted = list(threads.map(lambda digest: self._delete(digest, until_ms), digests))
        removed = [digest for digest, done in zip(digests, deleted, strict=True) if done]
        self._forget(context, removed, until_ms)
        gc_objects.labels("unreferenced" if part == ROWS else "stray").inc(len(removed))
        return {digest: unused[digest] for digest in removed}

    @write_step
    def _claim(
        self, call: Call, part: str, unused: Mapping[Digest, int], now_ms: int, until_ms: int
    ) -> list[Digest]:
        if part == ROWS:
            return sweeping.claim(call.session, unused, now_ms, until_ms)
        return sweeping.claim_strays(call.session, unused, until_ms)

    def _delete(self, digest: Digest, until_ms: int) -> bool:
        # A process that was suspended must not delete objects that were uploaded again since.
        if self.clock() >= until_ms - CLAIM_MARGIN_MS:
            return False
        self.store.delete(digest)
        return True

    @write_step
    def _forget(self, call: Call, digests: list[Digest], until_ms: int) -> None:
        sweeping.forget(call.session, digests, until_ms)


@contextmanager
def _noted() -> Iterator[None]:
    """Count and log a refused sweep: an operator has to act, also if a schedule runs the sweep."""
    try:
        yield
    except FailedPrecondition as error:
        gc_refused.inc()
        logger.warning("sweep refused: %s", error.message)
        raise


def _sizes(objects: list[ObjectInfo]) -> dict[Digest, int]:
    return {found.digest: found.size_bytes for found in objects}


def _position(page_token: str) -> tuple[str, str]:
    cursor = paging.decode(page_token, _QUERY)
    if cursor is None:
        return ROWS, ""
    match cursor:
        case (str(part), str(after)) if part in {ROWS, _STRAYS}:
            return part, after
    raise InvalidArgument(
        "Invalid page_token: expected the next_page_token of an earlier reply, or an empty "
        "one to start a sweep."
    )


def _next(part: str, last: str) -> str:
    if last:
        return paging.encode((part, last), _QUERY)
    return paging.encode((_STRAYS, ""), _QUERY) if part == ROWS else ""
