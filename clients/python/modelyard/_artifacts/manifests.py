"""Manifests: which files a model consists of, by digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from modelyard._artifacts.objects import File, Object
from modelyard._artifacts.transfer import Links
from modelyard._transport import connections, rpc
from modelyard.api.registry.v1 import registry_pb2
from modelyard.entities import FileInfo
from modelyard.exceptions import DataLoss, NotFound

_DEADLINE_S = 60.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a manifest.

    Attributes:
        digest: Its own, SHA-256 as 64 hexadecimal digits.
        files: By path.
        links: Where to GET each object.
    """

    digest: str
    files: tuple[File, ...]
    links: Links[str]

    def at(self, path: str) -> Manifest:
        """Return what is at or below a path; all of it if that is empty.

        Raises:
            NotFound: There is nothing.
        """
        if not path:
            return self
        found = [
            file for file in self.files if file.path == path or file.path.startswith(f"{path}/")
        ]
        if not found:
            raise NotFound(f"There is no file at '{path}' of the manifest {self.digest}.")
        return replace(self, files=tuple(found))

    def level(self, folder: str) -> list[FileInfo]:
        """Return one level of the files and folders; none of a folder that is not there."""
        prefix = f"{folder}/" if folder else ""
        found: dict[str, FileInfo] = {}
        for file in self.files:
            if file.path.startswith(prefix):
                name, _, below = file.path[len(prefix) :].partition("/")
                size_bytes = None if below else file.size_bytes
                found[name] = FileInfo(prefix + name, bool(below), size_bytes)
        return [found[name] for name in sorted(found)]


def manifest(digest: str) -> Manifest:
    """Return a manifest that a version is pinned to, checked.

    Raises:
        NotFound: No version is.
        DataLoss: The answer differs from the digest.
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
    """Return where to GET each object, by digest."""
    return {item.digest: item.url for item in reply.downloads}


def files_of(manifest: bytes, digest: str, uri: str) -> Iterator[File]:
    """Yield the files of a manifest that has been downloaded for a URI.

    Raises:
        DataLoss: It differs from its digest, or names what no server of ours keeps.
    """
    if hashlib.sha256(manifest).hexdigest() != digest:
        raise DataLoss(f"The manifest of {uri} differs from its digest sha256:{digest}.")
    for file in json.loads(manifest)["files"]:
        objects = file.get("parts") or [file]
        yield File(
            checked_path(file["path"]),
            _checked_digest(file["sha256"]),
            tuple(Object(_checked_digest(item["sha256"]), item["size"]) for item in objects),
        )


def checked_path(path: str) -> str:
    """Return the path if it stays inside the folder it is written to.

    Raises:
        DataLoss: It does not; no server of ours keeps such a path.
    """
    parts = path.split("/")
    if "\\" in path or "\0" in path or PurePosixPath(path).is_absolute():
        raise DataLoss(f"The server names a file outside of its folder: '{path}'.")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise DataLoss(f"The server names a file outside of its folder: '{path}'.")
    return path


def _checked_digest(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise DataLoss(f"The server names bytes by '{digest}', which is no SHA-256.")
    return digest
