"""Splitting files into objects: one object up to 64 MiB, else parts of that size."""

from __future__ import annotations

import hashlib

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.manifest import ManifestFile, ManifestPart

PART_BYTES = 64 << 20


class PartHasher:
    """Hashes a file incrementally, as a whole and in parts.

    Attributes:
        size_bytes: Number of bytes hashed so far.
    """

    def __init__(self) -> None:
        self.size_bytes = 0
        self._whole = hashlib.sha256()
        self._part = hashlib.sha256()
        self._part_bytes = 0
        self._parts: list[ManifestPart] = []

    def update(self, chunk: bytes) -> None:
        """Hash the next bytes, any number of them."""
        self.size_bytes += len(chunk)
        self._whole.update(chunk)
        view = memoryview(chunk)
        while view:
            if self._part_bytes == PART_BYTES:
                self._end_part()
            taken = view[: PART_BYTES - self._part_bytes]
            self._part.update(taken)
            self._part_bytes += len(taken)
            view = view[len(taken) :]

    def file(self, path: str) -> ManifestFile:
        """Return the hashed file under a logical path; no further `update` is allowed."""
        if self._parts:
            self._end_part()
        whole = Digest(self._whole.hexdigest())
        return ManifestFile(path, self.size_bytes, whole, tuple(self._parts))

    def _end_part(self) -> None:
        self._parts.append(ManifestPart(Digest(self._part.hexdigest()), self._part_bytes))
        self._part = hashlib.sha256()
        self._part_bytes = 0
