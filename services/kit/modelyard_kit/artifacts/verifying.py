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
from typing import ClassVar, NamedTuple

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


class _Known(NamedTuple):
    """What was found out about an object, until a time of the monotonic clock in seconds."""

    stamp: str
    until_s: float
    is_intact: bool


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
    damaged_s: ClassVar[float] = 60.0
    """Time for which an object counts as damaged: it is not read for each of many requests."""
    max_remembered: ClassVar[int] = 20_000

    def __init__(self, store: ArtifactStore, count: Callable[[], None]) -> None:
        self._store = store
        self._count = count
        self._known: OrderedDict[Digest, _Known] = OrderedDict()
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
        self.refuse_known_damaged(digest)
        is_whole = (start, end) == (0, size_bytes)
        if not is_whole and not self.is_intact(digest):
            raise damaged(digest)
        with self._store.open(digest, start, end) as chunks:
            yield self._held_back(digest, chunks) if is_whole else chunks

    def refuse_known_damaged(self, digest: Digest) -> None:
        """Refuse an object that was found damaged a short time ago, without reading it.

        Raises:
            DataLoss: The object is damaged.
            NotFound: It has been deleted since.
        """
        if self._recalled(digest) is False:
            stamp = self._store.evidence(digest).stamp
            if self._recalled(digest, stamp) is False:
                raise damaged(digest)

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
        known = self._recalled(digest, evidence.stamp)
        if not reread and (known is not None or evidence.is_verified):
            return known is not False
        is_intact = self._store.verify(digest)
        if not is_intact:
            self._found_damaged(digest)
        self._remember(digest, evidence.stamp, is_intact=is_intact)
        return is_intact

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

    def _recalled(self, digest: Digest, stamp: str | None = None) -> bool | None:
        """Return whether an object is intact; None if unknown, or written since (`stamp`)."""
        with self._lock:
            known = self._known.get(digest)
        if known is None or time.monotonic() >= known.until_s:
            return None
        return known.is_intact if stamp in {None, known.stamp} else None

    def _remember(self, digest: Digest, stamp: str, *, is_intact: bool) -> None:
        until_s = time.monotonic() + (self.remembered_s if is_intact else self.damaged_s)
        with self._lock:
            self._known[digest] = _Known(stamp, until_s, is_intact)
            self._known.move_to_end(digest)
            if len(self._known) > self.max_remembered:
                self._known.popitem(last=False)

    def _held_back(self, digest: Digest, chunks: Iterable[bytes]) -> Iterator[bytes]:
        sha256 = hashlib.sha256()
        last = b""
        for chunk in chunks:
            if last:
                yield last
            sha256.update(chunk)
            last = chunk
        if sha256.hexdigest() != digest:
            if self.is_intact(digest, reread=True):  # counts it if not
                self._found_damaged(digest)  # replaced meanwhile, or read wrongly
            raise damaged(digest)
        if last:
            yield last

    def _found_damaged(self, digest: Digest) -> None:
        self._count()
        logger.error("an object is damaged", extra={"digest": digest})
