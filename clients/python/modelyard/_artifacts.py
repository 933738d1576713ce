"""Trees of files: to the server, from the server, and models by URI."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelyard import _cache, _connection, _rpc, _transfer
from modelyard._transfer import PART_BYTES, File, Object
from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.registry.v1 import registry_pb2
from modelyard.exceptions import DataLoss, InvalidParameter, NotFound
from modelyard.models._folder import LocalModel

_FILES_PER_CALL = 1000
_COMMIT_DEADLINE_S = 60.0
_RESOLVE_DEADLINE_S = 60.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose tree it is: one of the two."""

    run_id: str | None = None
    model_id: str | None = None


def upload(
    uri: str | None, owner: Owner, local_path: str | Path, artifact_path: str | None
) -> None:
    """Upload a file, or a folder under its own name, into a folder of a tree.

    Raises:
        NotFound: There is no such local file.
    """
    source = Path(local_path)
    if source.is_dir():
        name = source.absolute().name
        folder = f"{artifact_path}/{name}" if artifact_path else name
        upload_content(uri, owner, source, folder)
    elif source.is_file():
        path = f"{artifact_path}/{source.name}" if artifact_path else source.name
        _upload_files(uri, owner, [(path, source)])
    else:
        raise NotFound(f"There is no local file '{local_path}' to upload.")


def upload_content(
    uri: str | None, owner: Owner, local_dir: str | Path, artifact_path: str | None
) -> None:
    """Upload what a folder holds into a folder of a tree.

    Raises:
        NotFound: There is no such local folder.
    """
    root = Path(local_dir)
    if not root.is_dir():
        raise NotFound(f"There is no local folder '{local_dir}' to upload.")
    prefix = f"{artifact_path}/" if artifact_path else ""
    found = [
        (prefix + (Path(folder) / name).relative_to(root).as_posix(), Path(folder) / name)
        for folder, _, names in os.walk(root)
        for name in names
    ]
    _upload_files(uri, owner, sorted(found))


def _upload_files(uri: str | None, owner: Owner, sources: Sequence[tuple[str, Path]]) -> None:
    for start in range(0, len(sources), _FILES_PER_CALL):
        batch = sources[start : start + _FILES_PER_CALL]
        files = _transfer.in_parallel(lambda pair: _transfer.describe(*pair), batch)
        messages = [_file_message(file) for file in files]
        declare = pb.DeclareArtifactsRequest(
            run_id=owner.run_id, model_id=owner.model_id, files=messages
        )
        reply = _rpc.call(uri, declare, pb.DeclareArtifactsResponse)
        where = {
            part.digest: (source, index * PART_BYTES)
            for file, (_, source) in zip(files, batch, strict=True)
            for index, part in enumerate(file.objects)
        }

        def put(missing: pb.ObjectUpload, where: dict[str, tuple[Path, int]] = where) -> None:
            source, offset = where[missing.digest]
            headers = dict(missing.headers)
            _transfer.put(missing.url, headers, source, offset, missing.size_bytes)

        _transfer.in_parallel(put, reply.uploads)
        commit = pb.CommitArtifactsRequest(
            run_id=owner.run_id, model_id=owner.model_id, files=messages
        )
        _rpc.call(uri, commit, pb.CommitArtifactsResponse, timeout_s=_COMMIT_DEADLINE_S)


def _file_message(file: File) -> pb.ArtifactFile:
    message = pb.ArtifactFile(path=file.path, size_bytes=file.size_bytes, digest=file.digest)
    if len(file.objects) > 1:
        message.parts.extend(
            pb.ArtifactPart(digest=part.digest, size_bytes=part.size_bytes) for part in file.objects
        )
    return message


def download(uri: str | None, owner: Owner, path: str, dst_path: str | Path | None) -> Path:
    """Download a file or folder of a tree and check it.

    Args:
        uri: Address of the server.
        owner: Whose tree.
        path: All of it if empty.
        dst_path: Folder to write to, made if need be; a new temporary one by default.

    Returns:
        `path` below the folder.

    Raises:
        NotFound: There is no such file.
        DataLoss: The bytes differ from their digest.
    """
    request = pb.GetArtifactsRequest(run_id=owner.run_id, model_id=owner.model_id, path=path)
    reply = _rpc.call(uri, request, pb.GetArtifactsResponse)
    files = [_file(message) for message in reply.files]
    urls = {item.digest: item.url for item in reply.downloads}
    folder = Path(dst_path) if dst_path else Path(tempfile.mkdtemp(prefix="modelyard-"))

    def receive(file: File) -> None:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as made:
            try:
                for part in file.objects:
                    _transfer.get(part, urls[part.digest], file.path, made)
                made.flush()
                Path(made.name).replace(target)
            except BaseException:
                Path(made.name).unlink(missing_ok=True)
                raise

    _transfer.in_parallel(receive, files)
    return folder / path


def _file(message: pb.ArtifactFile) -> File:
    parts = tuple(Object(part.digest, part.size_bytes) for part in message.parts)
    whole = (Object(message.digest, message.size_bytes),)
    return File(_checked_path(message.path), message.digest, parts or whole)


def fetch_model(uri: str, dst_path: str | None = None) -> LocalModel:
    """Download the model a URI stands for and check it; one call resolves every form.

    Args:
        uri: `models:/<name>/<version, stage or latest>`, `models:/<name>@<alias>`,
            `models:/m-<id>` or `runs:/<run>/<path>`.
        dst_path: Folder to write to; by default the local cache's, which must not be changed.

    Raises:
        NotFound: There is no such model.
        DataLoss: The bytes differ from what was registered.
    """
    request = registry_pb2.ResolveModelRequest(uri=uri)
    reply = _rpc.call(
        _connection.registry_uri(),
        request,
        registry_pb2.ResolveModelResponse,
        timeout_s=_RESOLVE_DEADLINE_S,
    )
    files = list(files_of(reply.manifest, reply.digest, uri))
    urls = {item.digest: item.url for item in reply.downloads}
    if dst_path is None:
        folder = _cache.model_folder(reply.digest, files, urls)
    else:
        folder = Path(dst_path)
        _cache.write_files(folder, files, urls)
    return LocalModel(
        path=folder,
        digest=reply.digest,
        name=reply.model_version.name or None,
        version=reply.model_version.version or None,
        model_id=reply.model_id or None,
        run_id=reply.run_id or None,
    )


def files_of(manifest: bytes, digest: str, uri: str) -> Iterator[File]:
    if hashlib.sha256(manifest).hexdigest() != digest:
        raise DataLoss(f"The manifest of {uri} differs from its digest sha256:{digest}.")
    for file in json.loads(manifest)["files"]:
        objects = file.get("parts") or [file]
        yield File(
            _checked_path(file["path"]),
            _checked_digest(file["sha256"]),
            tuple(Object(_checked_digest(item["sha256"]), item["size"]) for item in objects),
        )


def _checked_path(path: str) -> str:
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


@dataclass(frozen=True, slots=True)
class Location:
    """Where files are, as an artifact URI says: in a tree, or in a model."""

    owner: Owner | None
    path: str
    model_uri: str = ""


_RUN = re.compile(r"runs:/+(?P<run_id>[^/]+)/?(?P<path>.*)")
_RUN_TREE = re.compile(r"mlflow-artifacts:/+[^/]+/(?P<run_id>[0-9a-f]{32})/artifacts/?(?P<path>.*)")
_MODEL_TREE = re.compile(
    r"mlflow-artifacts:/+[^/]+/models/(?P<model_id>m-[0-9a-f]{32})/artifacts/?(?P<path>.*)"
)


def locate(artifact_uri: str) -> Location:
    """Take an artifact URI apart.

    Raises:
        InvalidParameter: It is of no known form.
    """
    if artifact_uri.startswith("models:/"):
        return Location(None, "", artifact_uri)
    for form in (_RUN, _RUN_TREE, _MODEL_TREE):
        match = form.fullmatch(artifact_uri)
        if match:
            found = match.groupdict()
            owner = Owner(run_id=found.get("run_id"), model_id=found.get("model_id"))
            return Location(owner, found["path"].strip("/"))
    raise InvalidParameter(
        f"Invalid artifact URI '{artifact_uri}': expected runs:/<run_id>/<path>, "
        "models:/<name>/<version or stage>, or the artifact URI of a run or logged model."
    )
