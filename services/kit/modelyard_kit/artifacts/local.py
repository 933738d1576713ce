"""Objects in a folder of the file system."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.signing import UrlSigner
from modelyard_kit.artifacts.store import (
    CHUNK_BYTES,
    MAX_MARK_BYTES,
    Evidence,
    ObjectInfo,
    PresignedPut,
    checked,
    checked_end,
    mark_key,
    no_object,
    refuse_when_full,
)
from modelyard_kit.errors import DataLoss

_INCOMING = "incoming"
_PREFIX = "upload-"
_SUFFIX = ".part"
_STALE_AFTER_S = 60 * 60  # a running upload writes more often than this


class LocalStore:
    """An `ArtifactStore` in one folder, which only its owner can read.

    An object is spooled to a temporary file, hashed, flushed to disk and then renamed, so that a
    crash leaves it whole or absent. Temporary files of killed processes are removed at start.

    Args:
        root: Folder of the store; created if it does not exist.
        signer: Signs URLs, which the gateway answers for this store.
    """

    def __init__(self, root: Path, signer: UrlSigner) -> None:
        self._root = root
        self._signer = signer
        self._incoming = root / _INCOMING
        self._making_folders = threading.Lock()
        _make_folder(self._incoming)
        self._sweep_stale_uploads()

    @property
    def trusted(self) -> bool:
        return True  # the gateway hashes uploads to signed URLs

    def has(self, digest: Digest) -> bool:
        return self._path(digest).is_file()

    def size_bytes(self, digest: Digest) -> int | None:
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return None

    def sizes_bytes(self, digests: Collection[Digest]) -> dict[Digest, int]:
        sizes = ((digest, self.size_bytes(digest)) for digest in digests)
        return {digest: size for digest, size in sizes if size is not None}

    def put(self, digest: Digest, chunks: Iterable[bytes], size_bytes: int) -> None:
        with refuse_when_full("of the artifact store"):
            self._put(digest, chunks, size_bytes)

    def _put(self, digest: Digest, chunks: Iterable[bytes], size_bytes: int) -> None:
        descriptor, name = tempfile.mkstemp(_SUFFIX, _PREFIX, self._incoming)
        spooled = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in checked(digest, chunks, size_bytes):
                    file.write(chunk)
                file.flush()
                os.fchmod(file.fileno(), 0o400)
                os.fsync(file.fileno())
            target = self._path(digest)
            # Under a lock: a thread that finds the folder must be able to rely on its flush.
            with self._making_folders:
                _make_folder(target.parent)
            # An existing object is replaced too: by the same bytes, which repairs a damaged copy.
            spooled.replace(target)
            _sync_folder(target.parent)
        finally:
            spooled.unlink(missing_ok=True)

    @contextmanager
    def open(
        self, digest: Digest, start: int = 0, end: int | None = None
    ) -> Iterator[Iterator[bytes]]:
        with self._file(digest) as file:
            end = checked_end(os.fstat(file.fileno()).st_size, start, end)
            file.seek(start)
            yield _chunks(file, digest, end - start)

    def delete(self, digest: Digest) -> None:
        path = self._path(digest)
        try:
            path.unlink()
        except FileNotFoundError:
            return
        _sync_folder(path.parent)

    def verify(self, digest: Digest) -> bool:
        sha256 = hashlib.sha256()
        try:
            with self.open(digest) as chunks:
                for chunk in chunks:
                    sha256.update(chunk)
        except DataLoss:
            return False
        return sha256.hexdigest() == digest

    def evidence(self, digest: Digest) -> Evidence:
        try:
            status = self._path(digest).stat()
        except FileNotFoundError:
            raise no_object(digest) from None
        # The time of a change, unlike that of a write, cannot be set by a program.
        stamp = f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        return Evidence(stamp, is_verified=False)

    def list_objects(self, after: Digest | None = None) -> Iterator[ObjectInfo]:
        for folder in _sorted(self._root / "sha256"):
            for subfolder in _sorted(folder):
                for path in _sorted(subfolder):
                    digest = Digest.at(path.relative_to(self._root).as_posix())
                    if digest is not None and (after is None or digest > after):
                        yield from _stored(path, digest)

    def mark(self, name: str) -> str | None:
        try:
            with (self._root / mark_key(name)).open("rb") as file:
                return file.read(MAX_MARK_BYTES).decode(errors="replace")
        except FileNotFoundError:
            return None

    def set_mark(self, name: str, text: str, *, replace: bool = False) -> None:
        target = self._root / mark_key(name)
        with refuse_when_full("of the artifact store"):
            with self._making_folders:
                _make_folder(target.parent)
            _write_mark(self._incoming, target, text.encode(), replace=replace)

    def presign_get(self, digest: Digest, expires_s: int, filename: str | None = None) -> str:
        return self._signer.get_url(digest, int(time.time()) + expires_s, filename)

    def presign_put(self, digest: Digest, size_bytes: int, expires_s: int) -> PresignedPut:
        url = self._signer.put_url(digest, size_bytes, int(time.time()) + expires_s)
        return PresignedPut(url, headers={})

    def _path(self, digest: Digest) -> Path:
        return self._root / digest.key

    def _file(self, digest: Digest) -> BufferedReader:
        try:
            return self._path(digest).open("rb")
        except FileNotFoundError:
            raise no_object(digest) from None

    def _sweep_stale_uploads(self) -> None:
        for path in self._incoming.glob(f"{_PREFIX}*{_SUFFIX}"):
            if path.stat().st_mtime < time.time() - _STALE_AFTER_S:
                path.unlink(missing_ok=True)


def _write_mark(incoming: Path, target: Path, data: bytes, *, replace: bool) -> None:
    descriptor, name = tempfile.mkstemp(_SUFFIX, _PREFIX, incoming)
    spooled = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            spooled.replace(target)
        else:
            with suppress(FileExistsError):
                target.hardlink_to(spooled)
        _sync_folder(target.parent)
    finally:
        spooled.unlink(missing_ok=True)


def _sorted(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _stored(path: Path, digest: Digest) -> Iterator[ObjectInfo]:
    try:
        status = path.stat()
    except FileNotFoundError:  # deleted since its folder was read
        return
    yield ObjectInfo(digest, status.st_size, status.st_mtime_ns // 1_000_000)


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, each flushed to disk before it is used."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _chunks(file: BufferedReader, digest: Digest, size_bytes: int) -> Iterator[bytes]:
    left_bytes = size_bytes
    while left_bytes:
        try:
            chunk = file.read(min(CHUNK_BYTES, left_bytes))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            raise DataLoss(f"The disk cannot read the object {digest}", digest=digest) from error
        if not chunk:
            raise DataLoss(
                f"An object lost its last {left_bytes} bytes while it was read", digest=digest
            )
        left_bytes -= len(chunk)
        yield chunk
