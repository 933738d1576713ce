"""The objects that the databases of a backup refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelyard_kit.artifacts import ArtifactStore, Digest
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.artifacts.reading import read_manifest
from modelyard_kit.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound
from modelyard_server.admin.backups.contents import Contents
from modelyard_server.admin.backups.rows import read_rows
from modelyard_server.admin.installation import no_urls


def open_folder(folder: Path) -> LocalStore:
    """Open a folder of objects; create it if it does not exist.

    Raises:
        FailedPrecondition: The folder cannot be used.
    """
    try:
        return LocalStore(folder, no_urls())
    except OSError as error:
        raise FailedPrecondition(
            f"The folder of objects {folder} cannot be used: {error.strerror}."
        ) from None


def copy(digest: Digest, size_bytes: int, source: ArtifactStore, target: ArtifactStore) -> bool:
    """Copy an object unless the target has it; return whether it was copied.

    Raises:
        NotFound: The source does not have the object.
        DataLoss: The object is damaged; nothing was stored.
    """
    if target.size_bytes(digest) == size_bytes:
        return False
    with source.open(digest) as chunks:
        try:
            target.put(digest, chunks, size_bytes)
        except InvalidArgument as error:
            raise DataLoss(f"The object {digest} is damaged: {error.message}.") from error
    return True


def copy_all(source: ArtifactStore, target: ArtifactStore) -> None:
    """Copy every present object; skip those swept meanwhile, which are not needed."""
    for found in source.list_objects():
        try:
            copy(found.digest, found.size_bytes, source, target)
        except NotFound:
            continue


def pinned(folder: Path, contents: Contents) -> set[Digest]:
    """Return the digests of the manifests that versions of a backup pin."""
    rows = _rows(folder, contents, "registry", "model_version")
    return {Digest(row["digest"]) for row in rows if row["digest"] is not None}


def needed(folder: Path, contents: Contents, store: ArtifactStore) -> Mapping[Digest, int]:
    """Return the sizes of the objects that the rows of a backup refer to, by digest.

    Args:
        folder: Folder of the backup.
        contents: Document of the backup.
        store: Store that has the manifests of registered versions.

    Raises:
        DataLoss: A manifest is missing or damaged.
    """
    sizes: dict[Digest, int] = {}
    in_parts = set()
    for row in _rows(folder, contents, "tracking", "artifact_part"):
        sizes[Digest(row["digest"])] = row["size_bytes"]
        in_parts.add((row["owner_kind"], row["owner_id"], row["path"]))
    for row in _rows(folder, contents, "tracking", "artifact_file"):
        if (row["owner_kind"], row["owner_id"], row["path"]) not in in_parts:
            sizes[Digest(row["digest"])] = row["size_bytes"]
    for digest in pinned(folder, contents):
        data, manifest = read_manifest(store, digest)
        sizes[digest] = len(data)
        for file in manifest.files:
            sizes.update((item.digest, item.size_bytes) for item in file.parts or (file,))
    return sizes


def _rows(folder: Path, contents: Contents, area: str, name: str) -> Iterator[dict[str, Any]]:
    table = contents.services[area].tables[name]
    for row in read_rows(folder / table.file, table.rows):
        yield dict(zip(table.columns, row, strict=True))
