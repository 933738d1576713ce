"""The port: what a service asks of whatever keeps its bytes."""

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

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class PresignedPut:
    """Where one object may be uploaded to.

    Attributes:
        url: The target of one HTTP PUT.
        headers: What the client must send with it, besides Content-Length.
    """

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class ObjectInfo:
    """One object that a store holds.

    Attributes:
        digest: Its name.
        size_bytes: Its size.
        modified_ms: When its bytes were last written, in milliseconds of Unix time, by the clock
            of the store.
    """

    digest: Digest
    size_bytes: int
    modified_ms: int


class ArtifactStore(Protocol):
    """Content-addressed objects: written once, never changed, named by their digest.

    An object is either there whole or not there. All methods may be called from any thread.
    """

    @property
    def trusted(self) -> bool:
        """Whether an upload to a presigned URL can only ever be the object that it names.

        If not, what came by such an URL is read and hashed before anything refers to it.
        """

    def has(self, digest: Digest) -> bool:
        """Whether the object is there, whole."""

    def size_bytes(self, digest: Digest) -> int | None:
        """The size of an object, or None if there is no such object."""

    def sizes_bytes(self, digests: Collection[Digest]) -> dict[Digest, int]:
        """The sizes of those of many objects that are there."""

    def put(self, digest: Digest, chunks: Iterable[bytes], size_bytes: int) -> None:
        """Stores an object durably; when it returns, the bytes survive a crash.

        All chunks are read and hashed even if the object is already there: whoever knows a
        digest does not thereby have its bytes.

        Raises:
            InvalidArgument: The bytes have another size or digest; nothing was stored.
            ResourceExhausted: There is no room for them; nothing was stored.
        """

    def open(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Reads the bytes from `start` up to but not including `end`, in chunks.

        Raises:
            NotFound: There is no such object.
            InvalidArgument: Not 0 <= start <= end <= size.
        """

    def delete(self, digest: Digest) -> None:
        """Removes an object for good; one that is not there is gone already."""

    def verify(self, digest: Digest) -> bool:
        """Whether the bytes, read and hashed again, still have their digest.

        Raises:
            NotFound: There is no such object.
        """

    def list_objects(self, after: Digest | None = None) -> Iterator[ObjectInfo]:
        """All objects in the order of their digests, those after `after` if it is given.

        What is stored or deleted meanwhile may or may not be among them.
        """

    def presign_get(self, digest: Digest, expires_s: int, filename: str | None = None) -> str:
        """An URL that anyone may GET for `expires_s` seconds.

        Args:
            digest: The object.
            expires_s: Seconds from now, positive.
            filename: The name a browser should save it under.
        """

    def presign_put(self, digest: Digest, size_bytes: int, expires_s: int) -> PresignedPut:
        """An URL that takes exactly this object for `expires_s` seconds."""


def checked(digest: Digest, chunks: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    """Passes chunks on and, after the last, refuses them unless they are the object named.

    Raises:
        InvalidArgument: Too many bytes, as soon as they come; too few, or another digest, at the
            end.
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
    """The end of a range within an object.

    Raises:
        InvalidArgument: Not 0 <= start <= end <= size.
    """
    end = size_bytes if end is None else end
    if not 0 <= start <= end <= size_bytes:
        raise InvalidArgument(
            f"Invalid range from {start} to {end}: the object has {size_bytes} bytes"
        )
    return end


def no_object(digest: Digest) -> NotFound:
    return NotFound(f"No object {digest} in the artifact store", digest=digest)


@contextmanager
def refuse_when_full(disk: str) -> Iterator[None]:
    """Turns what a full disk raises into a refusal.

    Args:
        disk: Which one, as a message names it.

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
    """The Content-Disposition of a download: a browser saves it, whatever is in it."""
    if filename is None:
        return "attachment"
    return f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
