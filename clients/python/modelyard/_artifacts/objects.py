"""Files as lists of objects, and objects by their SHA-256, as the store keeps them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol, TypeVar

from modelyard.exceptions import InvalidParameter, InvalidState, NotFound

PART_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Object:
    """Bytes in the store; the digest is their SHA-256, 64 hexadecimal digits."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class File:
    """A file of an artifact tree.

    Attributes:
        path: Path in the artifact tree.
        digest: SHA-256 of the whole file, 64 hexadecimal digits.
        objects: Its parts in order: one of at most 64 MiB, or parts of exactly 64 MiB and a last
            one of at most that.
    """

    path: str
    digest: str
    objects: tuple[Object, ...]

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.objects)


class Gone(InvalidState):
    """A local file was removed while it was uploaded."""


@dataclass(frozen=True, slots=True)
class Source:
    """A local file and its state when the upload began.

    A file that grows meanwhile is uploaded as it was then: its first `size_bytes` bytes.

    Attributes:
        path: Path on this machine.
        size_bytes: Size of the file, bytes.
        modified_ns: Time of the last modification, nanoseconds of Unix time.
        inode: Inode of the file; a replaced file has another.
    """

    path: Path
    size_bytes: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Source:
        """Return the present state of a file.

        Raises:
            NotFound: The file cannot be read.
            InvalidParameter: The path is not a regular file.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise unreadable(path, error) from None
        if not stat.S_ISREG(found.st_mode):
            raise InvalidParameter(f"{path} is not a regular file; leave it out.")
        if not os.access(path, os.R_OK):
            raise NotFound(f"The file {path} cannot be read: permission denied.")
        return cls(path, found.st_size, found.st_mtime_ns, found.st_ino)

    def check(self, descriptor: int) -> None:
        """Refuse an open file that has changed other than by growing.

        Raises:
            InvalidState: The file was replaced, cut or written anew.
        """
        now = os.fstat(descriptor)
        has_grown = now.st_size > self.size_bytes
        is_same = (now.st_size, now.st_mtime_ns) == (self.size_bytes, self.modified_ns)
        if now.st_ino != self.inode or not (has_grown or is_same):
            raise self.changed()

    def opened(self) -> FileIO:
        """Open the file, unbuffered.

        Raises:
            Gone: The file was removed.
            NotFound: The file cannot be read.
        """
        try:
            return self.path.open("rb", buffering=0)
        except FileNotFoundError:
            raise Gone(
                f"The file {self.path} can no longer be read: it was removed while it was uploaded."
            ) from None
        except OSError as error:
            raise unreadable(self.path, error) from None

    def changed(self) -> InvalidState:
        """Return the error for a file that has changed."""
        return InvalidState(
            f"The file {self.path} changed while it was uploaded: it was replaced, cut or written "
            "anew. Upload it again."
        )


class Each(Protocol):
    """Applies a function to each item and returns the results in order."""

    def __call__(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]: ...


def one_by_one(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Apply `work` to each item on this thread and return the results."""
    return [work(item) for item in items]


def describe(path: str, source: Path) -> File:
    """Hash a local file.

    Raises:
        NotFound: The file cannot be read.
        InvalidState: The file changed while it was read, other than by growing.
    """
    return describe_all([(path, Source.of(source))], one_by_one)[0]


def describe_all(sources: Sequence[tuple[str, Source]], each: Each) -> list[File]:
    """Hash local files that will have these paths in an artifact tree; raises as `describe`."""
    # A file of several parts is read twice in parallel: once for its digest, once for the parts'.
    spans: list[tuple[Source, int, int | None]] = [
        (source, 0, None) for _, source in sources if source.size_bytes > PART_BYTES
    ]
    spans += [(source, start, PART_BYTES) for _, source in sources for start in _starts(source)]
    found = iter(each(lambda span: _sha256(*span), spans))
    wholes = {source: next(found) for source, _, limit in spans if limit is None}
    files = []
    for path, source in sources:
        objects = tuple(
            Object(next(found), min(PART_BYTES, source.size_bytes - start))
            for start in _starts(source)
        )
        if source in wholes and source.path.stat().st_size != source.size_bytes:
            # What grows may have been changed between the two readings, too.
            files.append(_described_in_one_reading(path, source))
        else:
            files.append(File(path, wholes.get(source, objects[0].digest), objects))
    return files


def _described_in_one_reading(path: str, source: Source) -> File:
    whole = hashlib.sha256()
    objects = []
    with source.opened() as file:
        for start in _starts(source):
            part = hashlib.sha256()
            size_bytes = left = min(PART_BYTES, source.size_bytes - start)
            while block := file.read(min(_BLOCK_BYTES, left)):
                whole.update(block)
                part.update(block)
                left -= len(block)
            objects.append(Object(part.hexdigest(), size_bytes))
        source.check(file.fileno())
    return File(path, whole.hexdigest(), tuple(objects))


def _starts(source: Source) -> range:
    return range(0, max(source.size_bytes, 1), PART_BYTES)


def _sha256(source: Source, start: int, limit_bytes: int | None) -> str:
    sha256 = hashlib.sha256()
    left = source.size_bytes - start
    if limit_bytes is not None:
        left = min(left, limit_bytes)
    buffer = memoryview(bytearray(min(_BLOCK_BYTES, source.size_bytes)))
    try:
        with source.opened() as file:
            file.seek(start)
            while read := file.readinto(buffer[: min(_BLOCK_BYTES, left)]):
                sha256.update(buffer[:read])
                left -= read
            source.check(file.fileno())
    except OSError as error:
        raise unreadable(source.path, error) from None
    return sha256.hexdigest()


def unreadable(path: Path, error: OSError) -> NotFound:
    """Return the error for a file or folder that cannot be read."""
    return NotFound(f"The file {path} cannot be read: {error.strerror}.")
