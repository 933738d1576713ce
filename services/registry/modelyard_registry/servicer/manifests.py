"""Manifests with a URL for each of their objects, remembered for some seconds."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import ClassVar, NamedTuple

from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard_kit.artifacts import ArtifactStore
from modelyard_kit.artifacts.reading import read_manifest
from modelyard_kit.clock import Clock
from modelyard_registry import wire


class _Known(NamedTuple):
    reply: pb.GetPinnedManifestResponse
    size_bytes: int
    read_ms: int


class Manifests:
    """Reads manifests from the store, the same one at most every `fresh_ms`.

    The bytes of a digest never change, so that those in memory are right; whether the store still
    has them is what has to be looked up again.

    Args:
        store: The store.
        clock: Returns Unix time in milliseconds.
    """

    fresh_ms: ClassVar[int] = 5_000
    """Time for which a manifest that was read is not looked for in the store again."""
    max_bytes: ClassVar[int] = 16 << 20
    """Size of all remembered replies together."""

    def __init__(self, store: ArtifactStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._size_bytes = 0
        self._lock = threading.Lock()

    def read(self, digest: str) -> pb.GetPinnedManifestResponse:
        """Return a manifest with a URL for each object; not to be changed, since it is shared.

        Raises:
            DataLoss: The manifest is missing from the store, or differs from its digest.
        """
        now_ms = self._clock()
        with self._lock:
            known = self._known.get(digest)
            if known is not None and 0 <= now_ms - known.read_ms < self.fresh_ms:
                self._known.move_to_end(digest)
                return known.reply
        data, manifest = read_manifest(self._store, digest)
        expires_s = wire.DOWNLOAD_EXPIRES_S + self.fresh_ms // 1000
        downloads = wire.object_downloads(self._store, manifest, expires_s)
        reply = pb.GetPinnedManifestResponse(manifest=data, downloads=downloads)
        self._remember(digest, _Known(reply, reply.ByteSize(), now_ms))
        return reply

    def _remember(self, digest: str, read: _Known) -> None:
        with self._lock:
            replaced = self._known.pop(digest, None)
            self._known[digest] = read
            self._size_bytes += read.size_bytes - (replaced.size_bytes if replaced else 0)
            while self._size_bytes > self.max_bytes:
                _, oldest = self._known.popitem(last=False)
                self._size_bytes -= oldest.size_bytes
