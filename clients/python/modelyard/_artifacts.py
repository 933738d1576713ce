"""Trees of files: to the server, from the server, and models by URI."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelyard import _cache, _connection, _manifests, _rpc, _transfer
from modelyard._transfer import PART_BYTES, File, Object
from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.registry.v1 import registry_pb2
from modelyard.exceptions import InvalidParameter, NotFound
from modelyard.models._folder import LocalModel

_FILES_PER_CALL = 1000
_COMMIT_DEADLINE_S = 60.0
_RESOLVE_DEADLINE_S = 60.0


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
    return write(files, urls, dst_path) / path


def write(files: Sequence[File], urls: Mapping[str, str], dst_path: str | Path | None) -> Path:
    """Download files into a folder, a new temporary one by default, and return it.

    Raises:
        DataLoss: The bytes differ from their digest.
    """
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
    return folder


def _file(message: pb.ArtifactFile) -> File:
    parts = tuple(Object(part.digest, part.size_bytes) for part in message.parts)
    whole = (Object(message.digest, message.size_bytes),)
    return File(_manifests.checked_path(message.path), message.digest, parts or whole)


def fetch_model(uri: str, dst_path: str | None = None) -> LocalModel:
    """Download the model a URI stands for and check it; one call resolves every form.

    Args:
        uri: `models:/<name>/<version, stage or latest>`, `models:/<name>@<alias>`,
            `models:/m-<id>`, `runs:/<run>/<path>`, or the artifact URI that stands for the same,
            such as the download URI of a version.
        dst_path: Folder to write to; by default the local cache's, which must not be changed.

    Raises:
        NotFound: There is no such model.
        DataLoss: The bytes differ from what was registered.
    """
    if uri.startswith("mlflow-artifacts:"):
        location = locate(uri)
        if location.manifest:
            return _fetch_manifest(location, dst_path)
        uri = _model_uri(location)
    request = registry_pb2.ResolveModelRequest(uri=uri)
    reply = _rpc.call(
        _connection.registry_uri(),
        request,
        registry_pb2.ResolveModelResponse,
        timeout_s=_RESOLVE_DEADLINE_S,
    )
    files = list(_manifests.files_of(reply.manifest, reply.digest, uri))
    urls = {item.digest: item.url for item in reply.downloads}
    return LocalModel(
        path=_model_folder(reply.digest, files, urls, dst_path),
        digest=reply.digest,
        name=reply.model_version.name or None,
        version=reply.model_version.version or None,
        model_id=reply.model_id or None,
        run_id=reply.run_id or None,
    )


def _fetch_manifest(location: Location, dst_path: str | None) -> LocalModel:
    if location.path:
        raise InvalidParameter(
            f"A model is a whole manifest, not '{location.path}' of it; leave the path out."
        )
    found = _manifests.manifest(location.manifest)
    return LocalModel(
        path=_model_folder(found.digest, found.files, found.urls, dst_path), digest=found.digest
    )


def _model_folder(
    digest: str, files: Sequence[File], urls: Mapping[str, str], dst_path: str | None
) -> Path:
    if dst_path is None:
        return _cache.model_folder(digest, files, urls)
    _cache.write_files(Path(dst_path), files, urls)
    return Path(dst_path)


def _model_uri(location: Location) -> str:
    owner = location.owner or Owner()
    if owner.run_id:
        return f"runs:/{owner.run_id}/{location.path}"
    path = f"/{location.path}" if location.path else ""
    return f"models:/{owner.model_id}{path}"


@dataclass(frozen=True, slots=True)
class Location:
    """Where files are, as an artifact URI says: in a tree, in a manifest, or in a model."""

    owner: Owner | None
    path: str
    model_uri: str = ""
    manifest: str = ""


_RUN = re.compile(r"runs:/+(?P<run_id>[^/]+)/?(?P<path>.*)")
_TREE = re.compile(
    r"mlflow-artifacts:/(?://)?[0-9]+/"
    r"(?:models/(?P<model_id>m-[0-9a-f]{32})|(?P<run_id>[A-Za-z0-9][\w-]*))"
    r"/artifacts(?:/(?P<path>.*))?",
    re.ASCII,
)
_MANIFEST = re.compile(
    r"mlflow-artifacts:/(?://)?manifests/(?P<digest>[0-9a-f]{64})(?:/(?P<path>.*))?"
)
_OTHER_SERVER = re.compile(r"mlflow-artifacts://[^/]")


def locate(artifact_uri: str) -> Location:
    """Take an artifact URI apart.

    Raises:
        InvalidParameter: It is of no known form.
    """
    if artifact_uri.startswith("models:/"):
        return Location(None, "", artifact_uri)
    if match := _MANIFEST.fullmatch(artifact_uri):
        return Location(None, (match["path"] or "").strip("/"), manifest=match["digest"])
    for form in (_RUN, _TREE):
        match = form.fullmatch(artifact_uri)
        if match:
            found = match.groupdict()
            owner = Owner(run_id=found.get("run_id"), model_id=found.get("model_id"))
            return Location(owner, (found["path"] or "").strip("/"))
    if _OTHER_SERVER.match(artifact_uri):
        # Whoever wrote the URI must not decide which server gets the token.
        raise InvalidParameter(
            f"'{artifact_uri}' names a server of its own; set the tracking URI to that server and "
            "leave it out of the URI (mlflow-artifacts:/…)."
        )
    raise InvalidParameter(
        f"Invalid artifact URI '{artifact_uri}': expected runs:/<run_id>/<path>, "
        "models:/<name>/<version or stage>, the artifact URI of a run or logged model, or the "
        "download URI of a version."
    )
