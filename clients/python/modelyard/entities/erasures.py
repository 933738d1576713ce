"""Results of erasing."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.entities.entity import Entity


@dataclass(frozen=True, slots=True, repr=False)
class RemainingObject(Entity):
    """An object with erased bytes that is still in the store, and why.

    Attributes:
        digest: SHA-256 of the object.
        size_bytes: Size in bytes.
        versions: URIs of the versions to delete first, such as "models:/iris/3".
        files: URIs of up to 100 files to erase first, such as "runs:/<run id>/data.csv".
        removable_time: Without versions and files: the time from which `modelyard gc` removes the
            object, milliseconds of Unix time.
    """

    _SHOWN = ("digest", "versions", "removable_time")
    digest: str
    size_bytes: int
    versions: list[str]
    files: list[str]
    removable_time: int | None


@dataclass(frozen=True, slots=True, repr=False)
class Erasure(Entity):
    """What was erased; of a dry run, what would be erased.

    Attributes:
        entries: Number of experiments, runs, logged models, params, tags, datasets, and records of
            files that an import left out.
        files: Number of artifacts.
        files_bytes: Size of these artifacts in bytes.
        removed: Digests of objects that were removed from the store.
        remaining: Objects that are still in the store.
        unexamined_objects: Number of further objects, left to the next `modelyard gc`.
    """

    _SHOWN = ("entries", "files", "files_bytes", "unexamined_objects")
    entries: int
    files: int
    files_bytes: int
    removed: list[str]
    remaining: list[RemainingObject]
    unexamined_objects: int
