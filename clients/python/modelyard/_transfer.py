"""Bytes between this machine and the store: hashed, in parts, verified.

A file of at most 64 MiB is one object; a larger one is a list of them. An object is known by the
SHA-256 of its bytes.
"""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from modelyard._http import open_url
from modelyard.exceptions import (
    DataLoss,
    InvalidState,
    ModelyardException,
    NotFound,
    Unavailable,
)

PART_BYTES = 64 << 20
_BLOCK_BYTES = 1 << 20
_THREADS = 4
_TIMEOUT_S = 60.0  # without a byte
_ATTEMPTS = 4
_FIRST_BACKOFF_S = 0.2
_ALREADY_THERE = 412  # what If-None-Match: * answers
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500

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
        objects: What it consists of, in order.
    """

    path: str
    digest: str
    objects: tuple[Object, ...]

    @property
    def size_bytes(self) -> int:
        return sum(part.size_bytes for part in self.objects)


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return `work` of each item; the first failure is raised after the others have ended."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="modelyard-transfer") as pool:
        return list(pool.map(work, items))


def describe(path: str, source: Path) -> File:
    """Hash a local file.

    Raises:
        NotFound: It cannot be read.
    """
    objects: list[Object] = []
    whole = hashlib.sha256()
    try:
        with source.open("rb") as file:
            while not objects or objects[-1].size_bytes == PART_BYTES:
                part = _describe_part(file, whole)
                if objects and not part.size_bytes:
                    break
                objects.append(part)
    except OSError as error:
        raise NotFound(f"The file {source} cannot be read: {error.strerror}.") from None
    return File(path, whole.hexdigest(), tuple(objects))


def _describe_part(file: IO[bytes], whole: hashlib._Hash) -> Object:
    sha256, left = hashlib.sha256(), PART_BYTES
    while block := file.read(min(_BLOCK_BYTES, left)):
        sha256.update(block)
        whole.update(block)
        left -= len(block)
    return Object(sha256.hexdigest(), PART_BYTES - left)


class _Part:
    """A range of a file as HTTP reads it."""

    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        self._file, self._left = file, size_bytes

    def read(self, wanted: int = -1) -> bytes:
        block = self._file.read(self._left if wanted < 0 else min(wanted, self._left))
        self._left -= len(block)
        return block


def put(url: str, headers: Mapping[str, str], source: Path, offset: int, size_bytes: int) -> None:
    """Upload a range of a local file.

    Raises:
        InvalidState: The file has changed since it was hashed, or the URL has expired.
        Unavailable: The store cannot be reached.
    """

    def send() -> None:
        with source.open("rb") as file:
            file.seek(offset)
            request = urllib.request.Request(  # noqa: S310 - open_url checks the scheme
                url,
                data=_Part(file, size_bytes),
                headers={**headers, "Content-Length": str(size_bytes)},
                method="PUT",
            )
            with open_url(request, _TIMEOUT_S):
                pass

    try:
        _trying(send, source.name)
    except _Refused as refused:
        if refused.status != _ALREADY_THERE:
            raise InvalidState(
                f"The store refused '{source.name}' ({refused.status}): it changed while it was "
                "uploaded, or the upload took too long. Try again."
            ) from None


def get(wanted: Object, url: str, path: str, sink: IO[bytes]) -> None:
    """Download an object into `sink`, at its present position, and check it.

    Raises:
        DataLoss: The bytes differ from the digest; `path` is named.
        NotFound: The store does not have them.
        Unavailable: The store cannot be reached.
    """
    start = sink.tell()

    def receive() -> None:
        sink.seek(start)
        sink.truncate()
        sha256, left = hashlib.sha256(), wanted.size_bytes
        with open_url(urllib.request.Request(url), _TIMEOUT_S) as reply:  # noqa: S310 - open_url checks the scheme
            while block := reply.read(min(_BLOCK_BYTES, left + 1)):
                left -= len(block)
                if left < 0:
                    break
                sha256.update(block)
                sink.write(block)
        if left or sha256.hexdigest() != wanted.digest:
            raise DataLoss(
                f"The bytes of '{path}' differ from their digest sha256:{wanted.digest}."
            )

    try:
        _trying(receive, path)
    except _Refused as refused:
        raise NotFound(f"The store does not hand out '{path}' ({refused.status}).") from None


class _Refused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _trying(transfer: Callable[[], None], name: str) -> None:
    """Transfer again after a failure that may pass, waiting 0.2 s, then twice as long each time."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return transfer()
        except urllib.error.HTTPError as error:
            with error:
                passing = error.code >= _SERVER_ERROR or error.code == _TOO_MANY_REQUESTS
                if not passing:
                    raise _Refused(error.code) from None
                failure: ModelyardException = Unavailable(
                    f"The store failed to transfer '{name}' ({error.code}). Try again."
                )
        except OSError as error:
            reason = getattr(error, "reason", error)
            failure = Unavailable(f"The store cannot be reached to transfer '{name}': {reason}.")
        if attempt == _ATTEMPTS:
            raise failure
        time.sleep(_FIRST_BACKOFF_S * 2 ** (attempt - 1))
    return None
