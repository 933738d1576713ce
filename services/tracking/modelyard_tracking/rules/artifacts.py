"""Checks of the files of an artifact tree: owners, parts and paths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from modelyard_kit.artifacts import PART_BYTES, Digest, ManifestFile, logical_path
from modelyard_kit.errors import InvalidArgument

MAX_FILE_BYTES = 10_000 * PART_BYTES  # the contract's limit of parts
_MAX_SHOWN = 10
LEASE_MS = 60 * 60 * 1000
"""Duration of a lease, which is also the time limit for uploading the object."""
GRACE_MS = 15 * 60 * 1000
"""Time between the end of a lease and a sweep, for clock differences and for pinning."""
CLAIM_MS = 5 * 60 * 1000
"""Duration of a sweep's claim on the objects that it removes together."""
CLAIM_MARGIN_MS = 60 * 1000
"""Time before the end of its claim at which a sweep stops deleting."""
STRAY_MS = 24 * 60 * 60 * 1000
"""Minimum age of an object without a row before a sweep may remove it."""

SWEPT_SHARE = 4
"""A sweep that would remove more than one in so many objects is refused without force."""
SWEPT_ANYWAY = 100
"""Number of objects that a sweep removes whatever their share: small stores vary more."""


class OwnerKind(StrEnum):
    RUN = "run"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Owner:
    """The run or logged model that a tree belongs to."""

    kind: OwnerKind
    owner_id: str

    @property
    def noun(self) -> str:
        return "run" if self.kind is OwnerKind.RUN else "logged model"

    def __str__(self) -> str:
        return f"{self.noun} '{self.owner_id}'"


def checked_files(files: Sequence[ManifestFile]) -> None:
    """Check files that are to be put into a tree together.

    Raises:
        InvalidArgument: A path is malformed, duplicate, or both a file and a folder; a size is
            negative; or the parts of a file do not fit its size.
    """
    paths: set[str] = set()
    for file in files:
        logical_path(file.path)
        if file.path in paths:
            raise InvalidArgument(
                f"Duplicate path '{file.path}'; give each path once.", path=file.path
            )
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
        InvalidArgument: An object is given with two sizes.
    """
    sizes: dict[Digest, int] = {}
    for file in files:
        objects = file.parts or (file,)
        for item in objects:
            if sizes.setdefault(item.digest, item.size_bytes) != item.size_bytes:
                raise InvalidArgument(
                    f"The object {item.digest} is given with two sizes, {sizes[item.digest]} and "
                    f"{item.size_bytes} bytes; one digest has one size.",
                    path=file.path,
                )
    return sizes


def ancestors(path: str) -> list[str]:
    """Return the folders that contain a path, outermost first."""
    segments = path.split("/")[:-1]
    return ["/".join(segments[:depth]) for depth in range(1, len(segments) + 1)]


def file_and_folder(path: str) -> InvalidArgument:
    return InvalidArgument(
        f"The path '{path}' would be both a file and a folder; choose another path.", path=path
    )


def checked_missing(files: Sequence[tuple[str, str]]) -> None:
    """Check missing files, given as pairs of path and reason.

    Raises:
        InvalidArgument: A path is malformed or duplicate.
    """
    paths = [path for path, _ in files]
    for path in paths:
        if path:
            logical_path(path)
    if len(set(paths)) < len(paths):
        raise InvalidArgument("Duplicate path among the missing files; give each path once.")


def described_missing(files: Sequence[tuple[str, str]]) -> str:
    """Describe missing files, given as pairs of path and reason, for a message."""
    shown = [f"{path!r} ({reason})" if path else reason for path, reason in files[:_MAX_SHOWN]]
    more = f" and {len(files) - _MAX_SHOWN} more" if len(files) > _MAX_SHOWN else ""
    noun = "file is" if len(files) == 1 else "files are"
    count = f"{len(files)} {noun} missing: " if files[0][0] else ""
    return f"{count}{', '.join(shown)}{more}"


def _check_parts(file: ManifestFile) -> None:
    sizes = [part.size_bytes for part in file.parts]
    if min([file.size_bytes, *sizes]) < 0:
        raise InvalidArgument(
            f"The file '{file.path}' has a negative size; expected 0 or more bytes.", path=file.path
        )
    if file.size_bytes > MAX_FILE_BYTES:
        raise InvalidArgument(
            f"The file '{file.path}' of {file.size_bytes} bytes is too large; at most "
            f"{MAX_FILE_BYTES} are allowed.",
            path=file.path,
        )
    expected = _part_sizes(file.size_bytes) if file.size_bytes > PART_BYTES else []
    if sizes == expected:
        return
    shape = f"{len(expected)} parts, each but the last of {PART_BYTES}" if expected else "none"
    raise InvalidArgument(
        f"The file '{file.path}' of {file.size_bytes} bytes has {len(sizes)} parts of "
        f"{sum(sizes)} bytes in all; expected {shape}.",
        path=file.path,
    )


def _part_sizes(size_bytes: int) -> list[int]:
    whole, rest = divmod(size_bytes, PART_BYTES)
    return [PART_BYTES] * whole + ([rest] if rest else [])
