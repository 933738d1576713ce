"""The manifest: the canonical list of a model's files, whose digest identifies the model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from modelyard_kit.artifacts.digest import Digest
from modelyard_kit.artifacts.paths import logical_path
from modelyard_kit.errors import InvalidArgument

MAX_FILES = 100_000
MODEL_FILE = "MLmodel"
"""Name of the file that describes a model, at the root of the model's folder."""

_VERSION = 1


@dataclass(frozen=True)
class ManifestPart:
    """One object of a file that is stored in parts.

    Attributes:
        digest: SHA-256 of the part.
        size_bytes: Size of the part.
    """

    digest: Digest
    size_bytes: int


@dataclass(frozen=True)
class ManifestFile:
    """One file of a manifest.

    Attributes:
        path: Logical path of the file.
        size_bytes: Size of the whole file.
        digest: SHA-256 of the whole file, which names its object unless the file has parts.
        parts: Objects whose concatenation is the file; empty for a file stored as one object.
    """

    path: str
    size_bytes: int
    digest: Digest
    parts: tuple[ManifestPart, ...] = ()


class Manifest:
    """A list of files, sorted by path, with one canonical serialization.

    Args:
        files: The files in any order.

    Raises:
        InvalidArgument: A path is invalid, occurs twice or is both a file and a folder, a size is
            negative or not the sum of its parts, or there are too many files.
    """

    def __init__(self, files: Iterable[ManifestFile]) -> None:
        self.files = tuple(sorted(files, key=lambda file: file.path))
        _check(self.files)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and self.files == other.files

    def __hash__(self) -> int:
        return hash(self.files)

    @property
    def has_model(self) -> bool:
        """Whether the files are a model: with `MLmodel` at the root."""
        return any(file.path == MODEL_FILE for file in self.files)

    @property
    def digest(self) -> Digest:
        """Digest of the canonical form: the identity of a registered version."""
        return Digest.of(self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the canonical form: JSON in UTF-8, members and paths sorted, no white space."""
        document = {"files": [_file_document(file) for file in self.files], "version": _VERSION}
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return text.encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read the canonical form; refuse any other.

        Raises:
            InvalidArgument: The bytes are not a manifest as `to_bytes` returns it.
        """
        try:
            document = json.loads(data)
            manifest = cls(_file(file) for file in document["files"])
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InvalidArgument("Invalid manifest: expected the JSON of a manifest") from None
        # Compared as bytes: further contents of the document would not be covered by the digest.
        if manifest.to_bytes() != data:
            raise InvalidArgument(
                "Invalid manifest: expected its canonical form, with sorted members and paths, "
                f"no white space, no unknown members, and version {_VERSION}"
            )
        return manifest


def _check(files: tuple[ManifestFile, ...]) -> None:
    if len(files) > MAX_FILES:
        raise InvalidArgument(f"Too many files: {len(files)}, expected at most {MAX_FILES}")
    for file in files:
        logical_path(file.path)
        _check_sizes(file)
    paths = {file.path for file in files}
    for first, second in pairwise(files):
        if first.path == second.path:
            raise InvalidArgument(f"The path {first.path!r} occurs twice in the manifest")
    for file in files:
        parents = file.path.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            parent = "/".join(parents[:depth])
            if parent in paths:
                raise InvalidArgument(
                    f"The path {parent!r} is both a file and a folder, which contains {file.path!r}"
                )


def _check_sizes(file: ManifestFile) -> None:
    part_sizes = [part.size_bytes for part in file.parts]
    if min([file.size_bytes, *part_sizes]) < 0:
        raise InvalidArgument(f"The file {file.path!r} has a negative size")
    if part_sizes and sum(part_sizes) != file.size_bytes:
        raise InvalidArgument(
            f"The parts of {file.path!r} have {sum(part_sizes)} bytes in total, "
            f"expected {file.size_bytes}"
        )


def _file_document(file: ManifestFile) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": file.path,
        "sha256": file.digest,
        "size": file.size_bytes,
    }
    if file.parts:
        document["parts"] = [
            {"sha256": part.digest, "size": part.size_bytes} for part in file.parts
        ]
    return document


def _file(document: dict[str, Any]) -> ManifestFile:
    return ManifestFile(
        path=_typed(document["path"], str),
        size_bytes=_typed(document["size"], int),
        digest=Digest(_typed(document["sha256"], str)),
        parts=tuple(
            ManifestPart(Digest(_typed(part["sha256"], str)), _typed(part["size"], int))
            for part in document.get("parts", ())
        ),
    )


def _typed(value: Any, expected: type[Any]) -> Any:
    if type(value) is not expected:  # a bool is an int to isinstance
        raise TypeError(f"expected {expected.__name__}, got {type(value).__name__}")
    return value
