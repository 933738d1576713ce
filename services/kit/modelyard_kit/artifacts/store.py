"""The interface of a content-addressed store."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.errors import InvalidArgument, NotFound, ResourceExhausted

CHUNK_BYTES = 1024 * 1024

MAX_MARK_BYTES = 64
"""Number of bytes read of a mark: a longer text is damaged, and differs from every valid one."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class PresignedPut:
    """A permission to upload one object.

    Attributes:
        url: URL for one HTTP PUT.
        headers: Headers that the client must send, besides Content-Length.
    """

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class ObjectInfo:
    """An object in a store.

    Attributes:
        digest: Digest of the object.
        size_bytes: Size of the object.
        modified_ms: Time of the last write of its bytes by the store's clock, Unix time in
            milliseconds.
    """

    digest: Digest
    size_bytes: int
    modified_ms: int


@dataclass(frozen=True)
class Evidence:
    """The knowledge of a store about an object, without reading its bytes.

    Attributes:
        stamp: Differs after each write of the object.
        is_verified: Whether the store itself verified the digest when the bytes were written.
    """

    stamp: str
    is_verified: bool


class ArtifactStore(Protocol):
    """Content-addressed objects: written once, never changed, named by their digest.

    An object is either stored whole or not at all. All methods are thread-safe.
    """

    @property
    def trusted(self) -> bool:
        """Whether the store itself ensures that an upload to a presigned URL is the named object.

        If not, objects uploaded to such URLs are read and hashed before they are referred to.
        """

    def has(self, digest: Digest) -> bool:
        """Whether the object is in the store."""

    def size_bytes(self, digest: Digest) -> int | None:
        """Return the size of an object, or None if it is not in the store."""

    def sizes_bytes(self, digests: Collection[Digest]) -> dict[Digest, int]:
        """Return the sizes of the objects that are in the store."""

    def put(self, digest: Digest, chunks: Iterable[bytes], size_bytes: int) -> None:
        """Store an object durably: after the return, the bytes survive a crash.

        All chunks are read and hashed even if the object is in the store already, since knowing a
        digest does not prove possession of its bytes.

        Raises:
            InvalidArgument: The bytes have another size or digest; nothing was stored.
            ResourceExhausted: The store is full; nothing was stored.
        """

    def open(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open the bytes from `start` up to but not including `end`, as an iterator of chunks.

        Raises:
            NotFound: The object is not in the store.
            InvalidArgument: Not 0 <= start <= end <= size.
        """

    def delete(self, digest: Digest) -> None:
        """Delete an object; do nothing if it is not in the store."""

    def verify(self, digest: Digest) -> bool:
        """Read and hash the bytes of an object; return whether they still have its digest.

        Raises:
            NotFound: The object is not in the store.
        """

    def evidence(self, digest: Digest) -> Evidence:
        """Return what the store knows about an object without reading its bytes.

        Raises:
            NotFound: The object is not in the store.
        """

    def list_objects(self, after: Digest | None = None) -> Iterator[ObjectInfo]:
        """Yield the objects in the order of their digests, only those after `after` if given.

        Objects stored or deleted during the iteration may or may not be included.
        """

    def mark(self, name: str) -> str | None:
        """Return the text of a mark, or None if the store has no such mark.

        Marks identify the installation that a store belongs to (`modelyard_kit.db.identity`). They
        are kept beside the objects, are no objects, and are neither listed nor swept.
        """

    def set_mark(self, name: str, text: str, *, replace: bool = False) -> None:
        """Store a mark durably; without `replace`, only if the store has none of that name."""

    def presign_get(self, digest: Digest, expires_s: int, filename: str | None = None) -> str:
        """Return a URL by which an object can be downloaded without further authentication.

        Args:
            digest: Digest of the object.
            expires_s: Lifetime of the URL in seconds, positive.
            filename: Name under which browsers save the download; None for no name.
        """

    def presign_put(self, digest: Digest, size_bytes: int, expires_s: int) -> PresignedPut:
        """Return a permission to upload exactly this object within `expires_s` seconds."""


def checked(digest: Digest, chunks: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    """Yield chunks unchanged while checking that they are the named object.

    Raises:
        InvalidArgument: There are more bytes than declared, raised at the chunk that exceeds the
            size; or fewer bytes, or another digest, raised after the last chunk.
    """
    sha256 = hashlib.sha256()
    received_bytes = 0
    for chunk in chunks:
        received_bytes += len(chunk)
        if received_bytes > size_bytes:
            raise InvalidArgument(
                f"More bytes than declared for object {digest}: expected {size_bytes}"
            )
        sha256.update(chunk)
        yield chunk
    if received_bytes < size_bytes:
        raise InvalidArgument(
            f"Fewer bytes than declared for object {digest}: "
            f"expected {size_bytes}, got {received_bytes}"
        )
    if sha256.hexdigest() != digest:
        raise InvalidArgument(
            f"Other bytes than declared: expected object {digest}, got {sha256.hexdigest()}"
        )


def checked_end(size_bytes: int, start: int, end: int | None) -> int:
    """Return the end of a range within an object.

    Raises:
        InvalidArgument: Not 0 <= start <= end <= size.
    """
    end = size_bytes if end is None else end
    if not 0 <= start <= end <= size_bytes:
        raise InvalidArgument(
            f"Invalid range from {start} to {end}: the object has {size_bytes} bytes"
        )
    return end


def mark_key(name: str) -> str:
    """Return the key of a mark: below that of objects, where services may read and write."""
    return f"sha256/{name}"


def no_object(digest: Digest) -> NotFound:
    """Return the error for an object that is not in the store."""
    return NotFound(f"No object {digest} in the artifact store", digest=digest)


@contextmanager
def refuse_when_full(disk: str) -> Iterator[None]:
    """Translate the failure of a full disk inside the block into our error.

    Args:
        disk: The disk as the message names it, after "The disk".

    Raises:
        ResourceExhausted: The disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ResourceExhausted(
            f"The disk {disk} is full; nothing was kept. Free some space, then try again."
        ) from error


def attachment(filename: str | None) -> str:
    """Return the Content-Disposition by which browsers save a download, never display it."""
    if filename is None:
        return "attachment"
    return f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
