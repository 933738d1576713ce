"""Entries of artifact listings."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.entities.entity import Entity


@dataclass(frozen=True, slots=True)
class FileInfo(Entity):
    """A file or folder.

    Attributes:
        path: Relative to the root of the tree.
        file_size: Bytes; None for a folder.
    """

    path: str
    is_dir: bool
    file_size: int | None
