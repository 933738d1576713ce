"""Downloads files into a folder: verified by digest, resumed after an interruption."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from modelyard._artifacts import local_names, progress
from modelyard._artifacts.objects import File
from modelyard._artifacts.transfer import Links, Transfer, unwritten
from modelyard._transport import connections, locks
from modelyard.exceptions import DataLoss, ResourceExhausted

_BLOCK_BYTES = 1 << 20


def write(
    uri: str | None, files: Sequence[File], links: Links[str], dst_path: str | Path | None
) -> Path:
    """Download files into a folder, a new temporary one by default, and return it.

    A file appears under its name once it is complete and verified. An interrupted file of several
    parts is kept as `.<digest>….partial`, and the next download resumes it.

    Args:
        uri: Address of the server; None for the local home.
        files: Files to download; their paths must have been checked.
        links: Download URL of each object.
        dst_path: Target folder, created if it does not exist; a new temporary one by default.

    Raises:
        DataLoss: The bytes differ from their digest.
        ResourceExhausted: The disk is full.
        InvalidState: The folder cannot be written to, or this system cannot hold a file's name.
    """
    total_bytes = sum(file.size_bytes for file in files)
    with ExitStack() as undo:
        folder = Path(dst_path) if dst_path else _new_folder(undo)
        local_names.check(folder, [file.path for file in files])
        with (
            progress.shown("Downloading", total_bytes) as advance,
            Transfer(connections.host(uri), advance) as transfer,
        ):
            _receive(files, links, folder, transfer)
        undo.pop_all()
    return folder


def _new_folder(undo: ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="modelyard-"))
    undo.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _receive(files: Sequence[File], links: Links[str], folder: Path, transfer: Transfer) -> None:
    with ExitStack() as opened:
        work: list[tuple[File, _Partial | None, int]] = []
        for file in files:
            if len(file.objects) > 1:
                partial = opened.enter_context(_Partial(file, folder / file.path))
                work += [(file, partial, index) for index in range(len(file.objects))]
        work += [(file, None, 0) for file in files if len(file.objects) == 1]

        def receive(item: tuple[File, _Partial | None, int]) -> None:
            file, partial, index = item
            if partial:
                partial.receive(index, links, transfer)
                return
            with made(folder / file.path, file.path) as sink:
                transfer.get(file.objects[0], links, file.path, sink)

        transfer.each(receive, work)


@contextmanager
def made(target: Path, path: str) -> Iterator[IO[bytes]]:
    """Yield a temporary file to write; move it to `target` on success, remove it otherwise.

    Args:
        target: Final path; its folder is created if it does not exist.
        path: Name of the file in messages.

    Raises:
        ResourceExhausted: The disk is full.
        InvalidState: The file cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = tempfile.NamedTemporaryFile(dir=target.parent, delete=False)  # noqa: SIM115 - below
    except OSError as error:
        raise unwritten(path, error) from None
    try:
        with file:
            yield file
            file.flush()
        Path(file.name).replace(target)
    except BaseException as error:
        Path(file.name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritten(path, error) from None
        raise


class _Partial:
    """A partly downloaded file of several parts; kept for resuming if the download fails."""

    def __init__(self, file: File, target: Path) -> None:
        self._file = file
        self._target = target
        self._missing = len(file.objects)
        self._lock = threading.Lock()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._path, self._descriptor = self._open()
        except OSError as error:
            raise unwritten(file.path, error) from None
        self._had_bytes = self._path.stat().st_size

    def _open(self) -> tuple[Path, int | None]:
        """Return the path, and the descriptor that locks it; None if the file is not kept."""
        if os.name == "posix":  # Windows replaces no file that is open, which a locked one is
            path = partial_path(self._file, self._target)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if _locked(path, descriptor):
                return path, descriptor
            os.close(descriptor)  # another process downloads the same file to the same place
        descriptor, own = tempfile.mkstemp(".partial", ".", self._target.parent)
        os.close(descriptor)
        return Path(own), None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        has_some = self._missing < len(self._file.objects)
        is_kept = has_some and self._descriptor is not None
        if self._missing and (not is_kept or isinstance(error, DataLoss | ResourceExhausted)):
            self._path.unlink(missing_ok=True)
        if self._descriptor is not None:
            os.close(self._descriptor)

    def receive(self, index: int, links: Links[str], transfer: Transfer) -> None:
        """Download a part unless it is complete; the last part moves the file into place."""
        part = self._file.objects[index]
        offset = sum(earlier.size_bytes for earlier in self._file.objects[:index])
        try:
            with self._path.open("r+b") as file:
                file.seek(offset)
                if self._had_bytes > offset and _sha256(file, part.size_bytes) == part.digest:
                    transfer.advance(part.size_bytes)
                else:
                    file.seek(offset)
                    transfer.get(part, links, self._file.path, file)
            with self._lock:
                self._missing -= 1
                if not self._missing:
                    os.truncate(self._path, self._file.size_bytes)
                    self._path.replace(self._target)
        except OSError as error:
            raise unwritten(self._file.path, error) from None


def partial_path(file: File, target: Path) -> Path:
    """Return the path of a file of several parts while it is incomplete."""
    name = hashlib.sha256(target.name.encode()).hexdigest()[:8]  # names may be long
    return target.with_name(f".{file.digest[:32]}-{name}.partial")


def _locked(path: Path, descriptor: int) -> bool:
    """Whether this process holds the lock of the file, and the path still names that file."""
    try:
        return locks.take(descriptor) and os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sha256(file: IO[bytes], size_bytes: int) -> str:
    sha256 = hashlib.sha256()
    while size_bytes and (block := file.read(min(_BLOCK_BYTES, size_bytes))):
        sha256.update(block)
        size_bytes -= len(block)
    return sha256.hexdigest()
