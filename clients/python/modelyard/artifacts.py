"""Artifacts of runs and models by URI."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from modelyard._artifacts import downloads, manifests, operations
from modelyard._client.arguments import naming_wrong_types
from modelyard._client.images import Image
from modelyard._documents import read_json
from modelyard._drop_in import missing_attribute
from modelyard._transport import connections
from modelyard.client import MlflowClient
from modelyard.entities import FileInfo
from modelyard.exceptions import InvalidParameter

__all__ = ["download_artifacts", "list_artifacts", "load_dict", "load_image", "load_text"]

_MAX_VALUES = 5_000_000

__getattr__ = missing_attribute(__name__)


def __dir__() -> list[str]:
    return __all__


@naming_wrong_types
def download_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    dst_path: str | Path | None = None,
    tracking_uri: str | None = None,
) -> str:
    """Download a file or folder and verify it by digest.

    Args:
        artifact_uri: `runs:/<run_id>/<path>`, `models:/…`, a run's or logged model's artifact URI,
            or the download URI of a version; exclusive with `run_id`.
        run_id: Id of the run whose artifacts are downloaded; exclusive with `artifact_uri`.
        artifact_path: Path in the run's artifacts; all of them by default.
        dst_path: Folder to write to, created if it does not exist; a new temporary one by default.
        tracking_uri: Address of the server; the one in use by default.

    Returns:
        Local path of the file or folder.

    Raises:
        InvalidParameter: The URI is malformed, or both or neither of URI and run are given.
        NotFound: The file or folder does not exist.
        DataLoss: The bytes differ from their digest.
    """
    location = _location(artifact_uri, run_id, artifact_path)
    if location.manifest:
        found = manifests.manifest(location.manifest).at(location.path)
        uri = connections.registry_uri()
        return str(downloads.write(uri, found.files, found.links, dst_path) / location.path)
    if location.owner is None:
        folder = str(dst_path or tempfile.mkdtemp(prefix="modelyard-"))
        return str(operations.fetch_model(location.model_uri, folder).path)
    uri = tracking_uri or connections.tracking_uri()
    return str(operations.download(uri, location.owner, location.path, dst_path))


@naming_wrong_types
def list_artifacts(
    artifact_uri: str | None = None,
    run_id: str | None = None,
    artifact_path: str | None = None,
    tracking_uri: str | None = None,
) -> list[FileInfo]:
    """Return one level of files and folders at a path; arguments as `download_artifacts`."""
    location = _location(artifact_uri, run_id, artifact_path)
    if location.manifest:
        return manifests.manifest(location.manifest).level(location.path)
    client = MlflowClient(tracking_uri)
    if location.owner is None:
        raise InvalidParameter(
            f"'{location.model_uri}' cannot be listed; list the run it came from, or download it."
        )
    if location.owner.model_id:
        return client.list_logged_model_artifacts(location.owner.model_id, location.path or None)
    return client.list_artifacts(str(location.owner.run_id), location.path or None)


@naming_wrong_types
def load_text(artifact_uri: str) -> str:
    """Return the text of a file.

    Raises:
        InvalidParameter: The URI names a folder, or the file is not UTF-8.
        NotFound: The file does not exist.
    """
    with tempfile.TemporaryDirectory(prefix="modelyard-") as folder:
        try:
            return Path(download_artifacts(artifact_uri, dst_path=folder)).read_text("utf-8")
        except (IsADirectoryError, UnicodeDecodeError):
            raise InvalidParameter(f"'{artifact_uri}' is not a UTF-8 text file.") from None


@naming_wrong_types
def load_dict(artifact_uri: str) -> Any:
    """Return the content of a JSON file.

    Raises:
        InvalidParameter: The file is not JSON.
        NotFound: The file does not exist.
    """
    try:
        return read_json(load_text(artifact_uri), max_nodes=_MAX_VALUES)
    except ValueError:
        raise InvalidParameter(f"'{artifact_uri}' is not a JSON file.") from None


@naming_wrong_types
def load_image(artifact_uri: str) -> Any:
    """Return an image file as a Pillow image.

    Raises:
        InvalidParameter: The file is not an image, or Pillow is not installed.
        NotFound: The file does not exist.
    """
    with tempfile.TemporaryDirectory(prefix="modelyard-") as folder:
        file = download_artifacts(artifact_uri, dst_path=folder)
        try:
            return Image(file).to_pil()
        except InvalidParameter as refused:
            raise InvalidParameter(f"'{artifact_uri}' cannot be loaded as an image.") from refused


def _location(
    artifact_uri: str | None, run_id: str | None, artifact_path: str | None
) -> operations.Location:
    if (artifact_uri is None) == (run_id is None):
        raise InvalidParameter("Give either artifact_uri or run_id, not both or neither.")
    if artifact_uri is None:
        return operations.Location(operations.Owner(run_id=run_id), artifact_path or "")
    if artifact_path is not None:
        raise InvalidParameter("artifact_path goes with run_id; put it into the artifact_uri.")
    return operations.locate(artifact_uri)
