"""Objects in memory, for tests and throw-away servers."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.signing import UrlSigner
from modelyard_kit.artifacts.store import (
    CHUNK_BYTES,
    Evidence,
    ObjectInfo,
    PresignedPut,
    checked,
    checked_end,
    no_object,
)


class MemoryStore:
    """An `ArtifactStore` whose objects are lost when its process ends."""

    def __init__(self, signer: UrlSigner) -> None:
        self._objects: dict[Digest, tuple[bytes, int]] = {}  # with their times in ms
        self.marks: dict[str, str] = {}
        self._signer = signer

    @property
    def trusted(self) -> bool:
        return True  # the gateway hashes uploads to signed URLs

    def has(self, digest: Digest) -> bool:
        return digest in self._objects

    def size_bytes(self, digest: Digest) -> int | None:
        found = self._objects.get(digest)
        return None if found is None else len(found[0])

    def sizes_bytes(self, digests: Collection[Digest]) -> dict[Digest, int]:
        sizes = ((digest, self.size_bytes(digest)) for digest in digests)
        return {digest: size for digest, size in sizes if size is not None}

    def put(self, digest: Digest, chunks: Iterable[bytes], size_bytes: int) -> None:
        data = b"".join(checked(digest, chunks, size_bytes))
        self._objects[digest] = (data, time.time_ns() // 1_000_000)

    @contextmanager
    def open(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        data = self._read(digest)
        end = checked_end(len(data), start, end)
        yield (data[at : min(at + CHUNK_BYTES, end)] for at in range(start, end, CHUNK_BYTES))

    def delete(self, digest: Digest) -> None:
        self._objects.pop(digest, None)

    def verify(self, digest: Digest) -> bool:
        return Digest.of(self._read(digest)) == digest

    def evidence(self, digest: Digest) -> Evidence:
        return Evidence(str(id(self._read(digest))), is_verified=False)

    def list_objects(self, after: Digest | None = None) -> Iterator[ObjectInfo]:
        for digest, (data, modified_ms) in sorted(self._objects.copy().items()):
            if after is None or digest > after:
                yield ObjectInfo(digest, len(data), modified_ms)

    def mark(self, name: str) -> str | None:
        return self.marks.get(name)

    def set_mark(self, name: str, text: str, *, replace: bool = False) -> None:
        if replace:
            self.marks[name] = text
        self.marks.setdefault(name, text)

    def presign_get(self, digest: Digest, expires_s: int, filename: str | None = None) -> str:
        return self._signer.get_url(digest, int(time.time()) + expires_s, filename)

    def presign_put(self, digest: Digest, size_bytes: int, expires_s: int) -> PresignedPut:
        url = self._signer.put_url(digest, size_bytes, int(time.time()) + expires_s)
        return PresignedPut(url, headers={})

    def damage(self, digest: Digest, data: bytes) -> None:
        """Replace the bytes of an object by other ones."""
        self._objects[digest] = (data, time.time_ns() // 1_000_000)

    def _read(self, digest: Digest) -> bytes:
        found = self._objects.get(digest)
        if found is None:
            raise no_object(digest)
        return found[0]
