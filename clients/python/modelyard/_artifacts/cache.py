"""Local cache of downloaded models, by digest: `MODELYARD_CACHE`, default `~/.cache/modelyard`.

Objects are `sha256/ab/cd/<digest>`, model folders `models/<digest of the manifest>`. Entries are
verified again on every use. The cache can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from modelyard._artifacts import local_names, progress
from modelyard._artifacts.downloads import made
from modelyard._artifacts.objects import File, Object, Source, describe_all
from modelyard._artifacts.transfer import Links, Transfer
from modelyard._transport import connections
from modelyard._transport.locks import locked
from modelyard.exceptions import DataLoss, InvalidState

_BLOCK_BYTES = 1 << 20


def root() -> Path:
    """Return the cache's folder; create it if it does not exist.

    Raises:
        InvalidState: The folder cannot be created.
    """
    folder = Path(os.environ.get("MODELYARD_CACHE") or "~/.cache/modelyard")
    try:
        folder = folder.expanduser()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except RuntimeError:
        raise InvalidState(
            f"The cache {folder} cannot be created: HOME is not set, and the user has no home. "
            "Set MODELYARD_CACHE to a folder."
        ) from None
    except OSError as error:
        raise InvalidState(
            f"The cache {folder} cannot be created: {error.strerror}. "
            "Set MODELYARD_CACHE to a writable folder."
        ) from None
    return folder.absolute()


def model_folder(uri: str | None, digest: str, files: Sequence[File], links: Links[str]) -> Path:
    """Return a folder with exactly these files, verified; download missing or damaged ones.

    Args:
        uri: Address of the server; None for the local home.
        digest: Digest of the manifest that lists the files.
        files: Files of the model; their paths must have been checked.
        links: Download URL of each object.

    Raises:
        DataLoss: The store's bytes differ from their digest.
        ResourceExhausted: The disk is full.
    """
    models = root() / "models"
    models.mkdir(exist_ok=True)
    folder = models / digest
    if _is_intact(folder, files):
        return folder
    with locked(models / f"{digest}.lock"):
        if not _is_intact(folder, files):
            _make(uri, folder, files, links)
    return folder


def _make(uri: str | None, folder: Path, files: Sequence[File], links: Links[str]) -> None:
    made_here = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        write_files(uri, made_here, files, links)
        if folder.exists():
            shutil.rmtree(folder)
        made_here.rename(folder)
    finally:
        shutil.rmtree(made_here, ignore_errors=True)


def write_files(uri: str | None, folder: Path, files: Sequence[File], links: Links[str]) -> None:
    """Write files into a folder, from the cache where possible.

    Downloaded objects stay in the cache, so that after an interruption only the others are
    downloaded.

    Raises:
        InvalidState: This system cannot hold the name of a file.
    """
    local_names.check(folder, [file.path for file in files])
    paths = {part: file.path for file in files for part in file.objects}
    total_bytes = sum(part.size_bytes for part in paths)

    def fetch(item: tuple[Object, str]) -> None:
        wanted, path = item
        kept = _kept(wanted)
        if _is_there(wanted, kept):
            transfer.advance(wanted.size_bytes)
            return
        with made(kept, path) as sink:
            transfer.get(wanted, links, path, sink)

    with (
        progress.shown("Downloading", total_bytes) as advance,
        Transfer(connections.host(uri), advance) as transfer,
    ):
        transfer.each(fetch, list(paths.items()))
        transfer.each(lambda file: _assemble(file, folder / file.path), files)


def _assemble(file: File, target: Path) -> None:
    with made(target, file.path) as sink:
        for part in file.objects:
            sha256 = hashlib.sha256()
            with _kept(part).open("rb") as source:
                while block := source.read(_BLOCK_BYTES):
                    sha256.update(block)
                    sink.write(block)
            if sha256.hexdigest() != part.digest:
                raise DataLoss(f"The cached bytes of '{file.path}' changed meanwhile. Retry.")


def _is_intact(folder: Path, files: Sequence[File]) -> bool:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if found != {file.path for file in files}:
        return False
    with Transfer(None) as transfer:
        sources = [(file.path, Source.of(folder / file.path)) for file in files]
        return describe_all(sources, transfer.each) == list(files)


def _kept(wanted: Object) -> Path:
    return root() / "sha256" / wanted.digest[:2] / wanted.digest[2:4] / wanted.digest


def _is_there(wanted: Object, kept: Path) -> bool:
    if not kept.is_file():
        return False
    with kept.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wanted.digest
