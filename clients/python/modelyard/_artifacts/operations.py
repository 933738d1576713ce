"""Downloads of artifact trees, and of models by URI."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelyard._artifacts import cache, downloads, manifests
from modelyard._artifacts.objects import File, Object
from modelyard._artifacts.transfer import Links
from modelyard._artifacts.uploads import Owner, upload, upload_content
from modelyard._local_model import LocalModel
from modelyard._transport import connections, rpc
from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.registry.v1 import registry_pb2
from modelyard.exceptions import InvalidParameter

__all__ = ["Location", "Owner", "download", "fetch_model", "locate", "upload", "upload_content"]

_RESOLVE_DEADLINE_S = 60.0
_SIGN_DEADLINE_S = 60.0  # a large tree has a URL for each object


def download(uri: str | None, owner: Owner, path: str, dst_path: str | Path | None) -> Path:
    """Download a file or folder of an artifact tree and verify it.

    Args:
        uri: Address of the server; None for the local home.
        owner: Run or logged model that owns the tree.
        path: Path in the tree; the whole tree if empty.
        dst_path: Folder to write to, created if it does not exist; a new temporary one by default.

    Returns:
        `path` below the folder.

    Raises:
        NotFound: The tree has no such file.
        DataLoss: The bytes differ from their digest.
        ResourceExhausted: The disk is full.
    """
    request = pb.GetArtifactsRequest(run_id=owner.run_id, model_id=owner.model_id, path=path)

    def ask() -> pb.GetArtifactsResponse:
        return rpc.call(uri, request, pb.GetArtifactsResponse, timeout_s=_SIGN_DEADLINE_S)

    reply = ask()
    links = Links(_urls(reply), lambda: _urls(ask()))
    return downloads.write(uri, [_file(message) for message in reply.files], links, dst_path) / path


def _urls(reply: pb.GetArtifactsResponse) -> dict[str, str]:
    return {item.digest: item.url for item in reply.downloads}


def _file(message: pb.ArtifactFile) -> File:
    parts = tuple(Object(part.digest, part.size_bytes) for part in message.parts)
    whole = (Object(message.digest, message.size_bytes),)
    return File(manifests.checked_path(message.path), message.digest, parts or whole)


def fetch_model(
    uri: str,
    dst_path: str | None = None,
    *,
    resolved: registry_pb2.ResolveModelResponse | None = None,
) -> LocalModel:
    """Download the model that a URI resolves to and verify it; one call resolves every form.

    Args:
        uri: `models:/<name>/<version, stage or latest>`, `models:/<name>@<alias>`,
            `models:/m-<id>`, `runs:/<run>/<path>`, or an equivalent artifact URI,
            such as the download URI of a version.
        dst_path: Folder to write to; by default the local cache's, which must not be changed.
        resolved: Reply of the registry for this URI, with download URLs, if the caller has it
            already.

    Raises:
        InvalidParameter: The URI is malformed.
        NotFound: The URI names no model.
        DataLoss: The bytes differ from what was registered.
    """
    try:
        uri.encode()
    except UnicodeEncodeError:
        raise InvalidParameter(f"Invalid model URI {uri!r}: it is not valid Unicode.") from None
    if uri.startswith("mlflow-artifacts:"):
        location = locate(uri)
        if location.manifest:
            return _fetch_manifest(location, dst_path)
        uri = _model_uri(location)
    reply = resolved or _resolve(uri)
    files = list(manifests.files_of(reply.manifest, reply.digest, uri))
    version = reply.model_version
    # A stage or alias may resolve to another version by the time a URL has expired.
    same = f"models:/{version.name}/{version.version}" if version.name else uri
    links = Links(manifests.urls(reply), lambda: manifests.urls(_resolve(same)))
    return LocalModel(
        path=_model_folder(reply.digest, files, links, dst_path),
        digest=reply.digest,
        name=reply.model_version.name or None,
        version=reply.model_version.version or None,
        model_id=reply.model_id or None,
        run_id=reply.run_id or None,
    )


def _resolve(uri: str) -> registry_pb2.ResolveModelResponse:
    return rpc.call(
        connections.registry_uri(),
        registry_pb2.ResolveModelRequest(uri=uri),
        registry_pb2.ResolveModelResponse,
        timeout_s=_RESOLVE_DEADLINE_S,
    )


def _fetch_manifest(location: Location, dst_path: str | None) -> LocalModel:
    if location.path:
        raise InvalidParameter(
            f"A model is a whole manifest; leave out the path '{location.path}'."
        )
    found = manifests.manifest(location.manifest)
    return LocalModel(
        path=_model_folder(found.digest, found.files, found.links, dst_path), digest=found.digest
    )


def _model_folder(
    digest: str, files: Sequence[File], links: Links[str], dst_path: str | None
) -> Path:
    uri = connections.registry_uri()
    if dst_path is None:
        return cache.model_folder(uri, digest, files, links)
    cache.write_files(uri, Path(dst_path), files, links)
    return Path(dst_path)


def _model_uri(location: Location) -> str:
    owner = location.owner or Owner()
    if owner.run_id:
        return f"runs:/{owner.run_id}/{location.path}"
    path = f"/{location.path}" if location.path else ""
    return f"models:/{owner.model_id}{path}"


@dataclass(frozen=True, slots=True)
class Location:
    """Location of files, parsed from an artifact URI: in a tree, a manifest, or a model."""

    owner: Owner | None
    path: str
    model_uri: str = ""
    manifest: str = ""


_RUN = re.compile(r"runs:/+(?P<run_id>[^/]+)/?(?P<path>.*)", re.DOTALL)
_TREE = re.compile(
    r"mlflow-artifacts:/(?://)?[0-9]+/"
    r"(?:models/(?P<model_id>m-[0-9a-f]{32})|(?P<run_id>[A-Za-z0-9][\w-]*))"
    r"/artifacts(?:/(?P<path>.*))?",
    re.ASCII | re.DOTALL,
)
_MANIFEST = re.compile(
    r"mlflow-artifacts:/(?://)?manifests/(?P<digest>[0-9a-f]{64})(?:/(?P<path>.*))?", re.DOTALL
)
_OTHER_SERVER = re.compile(r"mlflow-artifacts://[^/]")


def locate(artifact_uri: str) -> Location:
    """Parse an artifact URI.

    Raises:
        InvalidParameter: The URI has none of the known forms.
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
        # The author of the URI must not decide which server gets the token.
        raise InvalidParameter(
            f"'{artifact_uri}' names a server; set the tracking URI to that server and leave it "
            "out of the URI (mlflow-artifacts:/…)."
        )
    raise InvalidParameter(
        f"Invalid artifact URI '{artifact_uri}': expected runs:/<run_id>/<path>, "
        "models:/<name>/<version or stage>, the artifact URI of a run or logged model, or the "
        "download URI of a version."
    )
