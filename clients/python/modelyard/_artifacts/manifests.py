"""Manifests: the files of a model and the digests of their objects."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from modelyard._artifacts.objects import File, Object
from modelyard._artifacts.transfer import Links
from modelyard._documents import read_json
from modelyard._transport import connections, rpc
from modelyard.api.registry.v1 import registry_pb2
from modelyard.entities import FileInfo
from modelyard.exceptions import DataLoss, NotFound

_DEADLINE_S = 60.0
_MAX_VALUES = 5_000_000  # of 100,000 files in parts
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a manifest.

    Attributes:
        digest: SHA-256 of the manifest, 64 hexadecimal digits.
        files: Files of the model, by path.
        links: Download URL of each object.
    """

    digest: str
    files: tuple[File, ...]
    links: Links[str]

    def at(self, path: str) -> Manifest:
        """Return the files at or below a path; all files if the path is empty.

        Raises:
            NotFound: The manifest has no file there.
        """
        if not path:
            return self
        found = [
            file for file in self.files if file.path == path or file.path.startswith(f"{path}/")
        ]
        if not found:
            raise NotFound(f"The manifest {self.digest} has no file at '{path}'.")
        return replace(self, files=tuple(found))

    def level(self, folder: str) -> list[FileInfo]:
        """Return one level of files and folders; [] for a folder that does not exist."""
        prefix = f"{folder}/" if folder else ""
        found: dict[str, FileInfo] = {}
        for file in self.files:
            if file.path.startswith(prefix):
                name, _, below = file.path[len(prefix) :].partition("/")
                size_bytes = None if below else file.size_bytes
                found[name] = FileInfo(prefix + name, bool(below), size_bytes)
        return [found[name] for name in sorted(found)]


def manifest(digest: str) -> Manifest:
    """Return a manifest that a version pins, verified.

    Raises:
        NotFound: No version pins a manifest of this digest.
        DataLoss: The reply does not match the digest.
    """
    reply = _pinned(digest)
    files = tuple(files_of(reply.manifest, digest, f"the manifest {digest}"))
    return Manifest(digest, files, Links(urls(reply), lambda: urls(_pinned(digest))))


def _pinned(digest: str) -> registry_pb2.GetPinnedManifestResponse:
    return rpc.call(
        connections.registry_uri(),
        registry_pb2.GetPinnedManifestRequest(digest=digest),
        registry_pb2.GetPinnedManifestResponse,
        timeout_s=_DEADLINE_S,
    )


def urls(
    reply: registry_pb2.GetPinnedManifestResponse | registry_pb2.ResolveModelResponse,
) -> dict[str, str]:
    """Return the download URL of each object, by digest."""
    return {item.digest: item.url for item in reply.downloads}


def files_of(manifest: bytes, digest: str, uri: str) -> Iterator[File]:
    """Yield the files of a manifest that was downloaded for a URI.

    Raises:
        DataLoss: The manifest does not match its digest, or holds an invalid path or digest.
    """
    if hashlib.sha256(manifest).hexdigest() != digest:
        raise DataLoss(f"The manifest of {uri} does not match its digest sha256:{digest}.")
    for file in read_json(manifest, max_nodes=_MAX_VALUES)["files"]:
        objects = file.get("parts") or [file]
        yield File(
            checked_path(file["path"]),
            _checked_digest(file["sha256"]),
            tuple(Object(_checked_digest(item["sha256"]), item["size"]) for item in objects),
        )


def checked_path(path: str) -> str:
    """Return the path if it stays inside the folder it is written to.

    Raises:
        DataLoss: The path leaves the folder; a Modelyard server never stores such a path.
    """
    parts = path.split("/")
    if "\0" in path or not {"", ".", ".."}.isdisjoint(parts):
        raise DataLoss(f"The server returned a path outside of the model's folder: '{path}'.")
    return path


def _checked_digest(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise DataLoss(f"The server returned '{digest}', which is not a SHA-256 digest.")
    return digest
