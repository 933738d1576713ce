"""Files as the store has them: lists of objects, known by their SHA-256."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from modelyard.exceptions import InvalidParameter, InvalidState, NotFound

PART_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Object:
    """Bytes, by their SHA-256 as 64 hexadecimal digits."""

    digest: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class File:
    """A file of a tree.

    Attributes:
        path: In the tree.
        digest: SHA-256 of all of it, 64 hexadecimal digits.
        objects: What it consists of, in order: one of at most 64 MiB, or parts of 64 MiB each but
            the last.
    """

    path: str
    digest: str
    objects: tuple[Object, ...]

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.objects)


@dataclass(frozen=True, slots=True)
class Source:
    """A local file as it was when it was looked at.

    Attributes:
        path: Of this machine.
        size_bytes: Its size.
        modified_ns: When it was written last, in nanoseconds of Unix time.
        inode: Another one, when it has been replaced.
    """

    path: Path
    size_bytes: int
    modified_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Source:
        """Look at a file.

        Raises:
            NotFound: It cannot be read.
            InvalidParameter: It is no file, but a pipe or the like.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from None
        if not stat.S_ISREG(found.st_mode):
            raise InvalidParameter(f"{path} is not a regular file; leave it out.")
        return cls(path, found.st_size, found.st_mtime_ns, found.st_ino)

    def check(self, descriptor: int) -> None:
        """Refuse an open file that is not as it was.

        Raises:
            InvalidState: It has changed.
        """
        now = os.fstat(descriptor)
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (
            self.size_bytes,
            self.modified_ns,
            self.inode,
        ):
            raise self.changed()

    def changed(self) -> InvalidState:
        """Return what to say when it is not as it was."""
        return InvalidState(
            f"The file {self.path} changed while it was uploaded. Upload it again when nobody "
            "writes to it."
        )


class Each(Protocol):
    """Does work for each item and returns the results in their order."""

    def __call__(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]: ...


def one_by_one(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return `work` of each item, on this thread."""
    return [work(item) for item in items]


def describe(path: str, source: Path) -> File:
    """Hash a local file.

    Raises:
        NotFound: It cannot be read.
        InvalidState: It changed meanwhile.
    """
    return describe_all([(path, Source.of(source))], one_by_one)[0]


def describe_all(sources: Sequence[tuple[str, Source]], each: Each) -> list[File]:
    """Hash local files that will have these paths in a tree, each of them as `describe`."""
    # A file of several parts is read twice, for its own digest and for theirs, at the same time.
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
        files.append(File(path, wholes.get(source, objects[0].digest), objects))
    return files


def _starts(source: Source) -> range:
    return range(0, max(source.size_bytes, 1), PART_BYTES)


def _sha256(source: Source, start: int, limit_bytes: int | None) -> str:
    sha256 = hashlib.sha256()
    left = source.size_bytes - start if limit_bytes is None else limit_bytes
    buffer = memoryview(bytearray(min(_BLOCK_BYTES, source.size_bytes)))
    try:
        with source.path.open("rb", buffering=0) as file:
            file.seek(start)
            while read := file.readinto(buffer[: min(_BLOCK_BYTES, left)]):
                sha256.update(buffer[:read])
                left -= read
            source.check(file.fileno())
    except OSError as error:
        raise _unreadable(source.path, error) from None
    return sha256.hexdigest()


def _unreadable(path: Path, error: OSError) -> NotFound:
    return NotFound(f"The file {path} cannot be read: {error.strerror}.")
