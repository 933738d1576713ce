"""Reading objects with a check of their digest."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ClassVar

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.store import ArtifactStore
from modelyard_kit.errors import DataLoss, NotFound, Unavailable

logger = logging.getLogger(__name__)

_READ_AT_ONCE = 4


def damaged(digest: Digest) -> DataLoss:
    """Return the error for an object whose bytes do not have its digest."""
    return DataLoss(
        f"The object {digest} is damaged in the store, so its bytes were not used. Log its file "
        "again, which replaces them, or restore the object from a backup.",
        digest=digest,
    )


class Verifier:
    """Reads objects of a store, and refuses those whose bytes do not have their digest.

    An object that was read and found intact is not read again for a while, unless the store has
    written it since: its bytes can change on the disk without a trace, so this is bounded.

    Args:
        store: The store.
        count: Counts a damaged object each time it is read.
    """

    remembered_s: ClassVar[float] = 60 * 60
    """Time for which an object counts as intact after it was read."""
    max_remembered: ClassVar[int] = 20_000

    def __init__(self, store: ArtifactStore, count: Callable[[], None]) -> None:
        self._store = store
        self._count = count
        self._intact: OrderedDict[Digest, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def open(
        self, digest: Digest, start: int, end: int, size_bytes: int
    ) -> Iterator[Iterator[bytes]]:
        """Open the bytes from `start` up to but not including `end`, as an iterator of chunks.

        A whole object is hashed while it is read; its last chunk follows when the digest is known.
        A part of an object cannot be checked alone, so the object is read and hashed before, unless
        it is known to be intact.

        Args:
            digest: Digest of the object.
            start: First byte.
            end: Byte after the last one.
            size_bytes: Size of the object.

        Raises:
            DataLoss: The object is damaged, raised before its last byte.
            NotFound: The object is not in the store.
        """
        is_whole = (start, end) == (0, size_bytes)
        if not is_whole and not self.is_intact(digest):
            raise damaged(digest)
        with self._store.open(digest, start, end) as chunks:
            yield self._held_back(digest, chunks) if is_whole else chunks

    def is_intact(self, digest: Digest, *, reread: bool = False) -> bool:
        """Whether the store has an object with the bytes of its digest.

        Args:
            digest: Digest of the object.
            reread: Read the bytes, even if the store verified them when they were written or they
                were found intact a short time ago.

        Raises:
            NotFound: The object is not in the store.
        """
        evidence = self._store.evidence(digest)
        known = evidence.is_verified or self._remembers(digest, evidence.stamp)
        if known and not reread:
            return True
        if not self._store.verify(digest):
            self._found_damaged(digest)
            return False
        with self._lock:
            self._intact[digest] = evidence.stamp, time.monotonic() + self.remembered_s
            self._intact.move_to_end(digest)
            if len(self._intact) > self.max_remembered:
                self._intact.popitem(last=False)
        return True

    def damaged_among(
        self,
        digests: Collection[Digest],
        is_wanted: Callable[[], bool],
        *,
        reread: bool = False,
    ) -> dict[Digest, bool]:
        """Return the objects that are damaged, each with whether it is missing from the store.

        Args:
            digests: Digests of objects.
            is_wanted: Whether the result is still wanted; asked before each object is read.
            reread: As in `is_intact`.

        Raises:
            Unavailable: The result is not wanted any more. Objects that were read are remembered,
                so a retry continues.
        """

        def state(digest: Digest) -> tuple[Digest, bool] | None:
            if not is_wanted():
                raise Unavailable("Reading the objects took too long; try again.")
            try:
                return None if self.is_intact(digest, reread=reread) else (digest, False)
            except NotFound:
                return digest, True

        with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="verify") as threads:
            return dict(found for found in threads.map(state, digests) if found is not None)

    def _remembers(self, digest: Digest, stamp: str) -> bool:
        with self._lock:
            known, until_s = self._intact.get(digest, ("", 0.0))
        return known == stamp and time.monotonic() < until_s

    def _held_back(self, digest: Digest, chunks: Iterable[bytes]) -> Iterator[bytes]:
        sha256 = hashlib.sha256()
        last = b""
        for chunk in chunks:
            if last:
                yield last
            sha256.update(chunk)
            last = chunk
        if sha256.hexdigest() != digest:
            self._found_damaged(digest)
            raise damaged(digest)
        if last:
            yield last

    def _found_damaged(self, digest: Digest) -> None:
        with self._lock:
            self._intact.pop(digest, None)
        self._count()
        logger.error("an object is damaged", extra={"digest": digest})
