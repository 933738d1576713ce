"""Files of a tree: owners, parts, and which paths go together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelyard_kit.artifacts import PART_BYTES, Digest, ManifestFile, logical_path
from modelyard_kit.errors import InvalidArgument

MAX_FILE_BYTES = 10_000 * PART_BYTES  # the contract's limit of parts
LEASE_MS = 60 * 60 * 1000
"""How long objects are kept that nothing refers to yet; also how long they may be uploaded."""
GRACE_MS = 15 * 60 * 1000
"""How long a lease must have been over before a sweep: clocks differ, and pinning takes a while."""
CLAIM_MS = 5 * 60 * 1000
"""How long a sweep may take over the objects that it removes together."""
CLAIM_MARGIN_MS = 60 * 1000
"""How long before the end of its claim a sweep stops to delete."""
STRAY_MS = 24 * 60 * 60 * 1000
"""How old an object is before a sweep takes it for one that nobody will declare any more."""


class OwnerKind(StrEnum):
    RUN = "run"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose tree it is."""

    kind: OwnerKind
    owner_id: str

    def __str__(self) -> str:
        return f"{'run' if self.kind is OwnerKind.RUN else 'logged model'} '{self.owner_id}'"


def checked_files(files: Sequence[ManifestFile]) -> None:
    """Check files that are to be put into a tree together.

    Raises:
        InvalidArgument: A path breaks the grammar or comes twice, is a file and also a folder,
            a size is negative, or the parts of a file are not those of its size.
    """
    paths: set[str] = set()
    for file in files:
        logical_path(file.path)
        if file.path in paths:
            raise InvalidArgument(f"The path '{file.path}' comes twice.", path=file.path)
        paths.add(file.path)
        _check_parts(file)
    for path in paths:
        for folder in ancestors(path):
            if folder in paths:
                raise file_and_folder(folder)
    objects_of(files)


def objects_of(files: Iterable[ManifestFile]) -> dict[Digest, int]:
    """Return the sizes of the objects that files consist of, by digest.

    Raises:
        InvalidArgument: One object is given two sizes.
    """
    sizes: dict[Digest, int] = {}
    for file in files:
        objects = file.parts or (file,)
        for item in objects:
            if sizes.setdefault(item.digest, item.size_bytes) != item.size_bytes:
                raise InvalidArgument(
                    f"The object {item.digest} is given as {sizes[item.digest]} and as "
                    f"{item.size_bytes} bytes.",
                    path=file.path,
                )
    return sizes


def ancestors(path: str) -> list[str]:
    """Return the folders a path is in, the outermost first."""
    segments = path.split("/")[:-1]
    return ["/".join(segments[:depth]) for depth in range(1, len(segments) + 1)]


def file_and_folder(path: str) -> InvalidArgument:
    return InvalidArgument(
        f"The path '{path}' would be a file and also a folder; choose another path.", path=path
    )


def _check_parts(file: ManifestFile) -> None:
    sizes = [part.size_bytes for part in file.parts]
    if min([file.size_bytes, *sizes]) < 0:
        raise InvalidArgument(f"The file '{file.path}' has a negative size.", path=file.path)
    if file.size_bytes > MAX_FILE_BYTES:
        raise InvalidArgument(
            f"The file '{file.path}' of {file.size_bytes} bytes is too large; at most "
            f"{MAX_FILE_BYTES} are allowed.",
            path=file.path,
        )
    expected = _part_sizes(file.size_bytes) if file.size_bytes > PART_BYTES else []
    if sizes == expected:
        return
    wanted = f"{len(expected)} parts, each but the last of {PART_BYTES}" if expected else "none"
    raise InvalidArgument(
        f"The file '{file.path}' of {file.size_bytes} bytes has {len(sizes)} parts of "
        f"{sum(sizes)} bytes in all; expected {wanted}.",
        path=file.path,
    )


def _part_sizes(size_bytes: int) -> list[int]:
    whole, rest = divmod(size_bytes, PART_BYTES)
    return [PART_BYTES] * whole + ([rest] if rest else [])
