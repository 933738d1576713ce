"""Downloaded models, kept by digest under `MODELYARD_CACHE` (default `~/.cache/modelyard`).

Objects are `sha256/ab/cd/<digest>`, model folders `models/<digest of the manifest>`. What is there
is checked again whenever it is used; nothing in it is needed, all of it can be deleted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelyard import _transfer
from modelyard._locks import locked
from modelyard._transfer import File, Object
from modelyard.exceptions import DataLoss, InvalidState

_BLOCK_BYTES = 1 << 20


def root() -> Path:
    """Return the cache's folder, made if need be.

    Raises:
        InvalidState: It cannot be made.
    """
    folder = Path(os.environ.get("MODELYARD_CACHE") or "~/.cache/modelyard").expanduser()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidState(
            f"The cache {folder} cannot be made: {error.strerror}. "
            "Set MODELYARD_CACHE to a folder of yours."
        ) from None
    return folder.absolute()


def model_folder(digest: str, files: Sequence[File], urls: Mapping[str, str]) -> Path:
    """Return a folder with exactly these files, checked; download what is missing or damaged.

    Args:
        digest: Of the manifest the files come from.
        files: Paths must have been checked.
        urls: Where to GET each object, by digest.

    Raises:
        DataLoss: The store's bytes differ from their digest.
    """
    models = root() / "models"
    models.mkdir(exist_ok=True)
    folder = models / digest
    if _is_intact(folder, files):
        return folder
    with locked(models / f"{digest}.lock"):
        if not _is_intact(folder, files):
            _make(folder, files, urls)
    return folder


def _make(folder: Path, files: Sequence[File], urls: Mapping[str, str]) -> None:
    made = Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        write_files(made, files, urls)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def write_files(folder: Path, files: Sequence[File], urls: Mapping[str, str]) -> None:
    """Write files into a folder, from the cache as far as it has them."""

    def write(file: File) -> None:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as made:
            try:
                for part in file.objects:
                    with _object(part, urls, file.path).open("rb") as source:
                        shutil.copyfileobj(source, made, _BLOCK_BYTES)
                Path(made.name).replace(target)
            except BaseException:
                Path(made.name).unlink(missing_ok=True)
                raise

    _transfer.in_parallel(write, files)


def _is_intact(folder: Path, files: Sequence[File]) -> bool:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}
    if found != {file.path for file in files}:
        return False
    described = _transfer.in_parallel(
        lambda file: _transfer.describe(file.path, folder / file.path), files
    )
    return described == list(files)


def _object(wanted: Object, urls: Mapping[str, str], path: str) -> Path:
    """Return where the cache has an object, checked; download it if it has not."""
    folder = root() / "sha256" / wanted.digest[:2] / wanted.digest[2:4]
    kept = folder / wanted.digest
    if kept.is_file() and _sha256(kept) == wanted.digest:
        return kept
    if wanted.digest not in urls:
        raise DataLoss(f"The server does not say where the bytes of '{path}' are.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as made:
        try:
            _transfer.get(wanted, urls[wanted.digest], path, made)
            made.flush()
            Path(made.name).replace(kept)
        except BaseException:
            Path(made.name).unlink(missing_ok=True)
            raise
    return kept


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
