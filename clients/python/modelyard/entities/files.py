"""Entries of artifact listings."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.entities.entity import Entity


@dataclass(frozen=True, slots=True, repr=False)
class FileInfo(Entity):
    """A file or folder.

    Attributes:
        path: Path relative to the root of the artifacts.
        file_size: Size in bytes; None for a folder.
    """

    path: str
    is_dir: bool
    file_size: int | None
