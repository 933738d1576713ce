"""Writes and finds model folders, for every flavour."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from modelyard._local_model import LocalModel
from modelyard.exceptions import AlreadyExists, InvalidParameter, NotFound
from modelyard.models._quote import quote
from modelyard.models.model import Model

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_DEFAULT_NAME = "model"
_FORMS = (
    "models:/<name>/<version or stage>, models:/<name>@<alias>, models:/m-<id>, "
    "runs:/<run_id>/<name>"
)


def chosen_name(artifact_path: str | None, name: str | None) -> str:
    """Return the name given by either argument; `model` if neither is given."""
    if artifact_path is not None and name is not None and artifact_path != name:
        raise InvalidParameter(
            f"Give either artifact_path or name, not both: got {artifact_path!r} and {name!r}."
        )
    chosen = name if name is not None else artifact_path
    return _DEFAULT_NAME if chosen is None else chosen


def new_folder(path: str | Path) -> Path:
    """Create the folder a model is saved into; refuse one that has content."""
    folder = Path(path)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise AlreadyExists(f"The path {str(path)!r} already exists and is not an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def finish(folder: Path, model: Model) -> Model:
    """Write the MLmodel file of a folder whose other files are written."""
    model.model_size_bytes = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    model.save(folder)
    return model


def is_uri(model_uri: object) -> bool:
    """Whether `model_uri` names a model on a server, not a local folder."""
    return isinstance(model_uri, str) and _SCHEME.match(model_uri) is not None


def local_model(model_uri: str | Path, dst_path: str | None = None) -> LocalModel:
    """Return the folder of `model_uri`, downloaded unless it is local.

    Args:
        model_uri: `models:/…`, `runs:/…` or the path of a folder.
        dst_path: Folder to download to; the local cache by default. Ignored for a local folder.
    """
    if not isinstance(model_uri, str | Path):
        raise InvalidParameter(
            f"The URI of a model must be text, got {type(model_uri).__name__}: give {_FORMS} or "
            "a folder."
        )
    if isinstance(model_uri, str) and is_uri(model_uri):
        from modelyard._artifacts import operations

        return operations.fetch_model(model_uri, dst_path)
    if not Path(model_uri).is_dir():
        raise NotFound(
            f"No model found at {str(model_uri)!r}: give a folder, or a URI such as {_FORMS}."
        )
    return LocalModel(Path(model_uri))


def file_in(folder: Path, relative: Any) -> Path:
    """Return a file named by the MLmodel file; refuse a path that leaves the folder."""
    if not isinstance(relative, str) or not relative:
        raise InvalidParameter("The MLmodel file lacks the name of the model's file.")
    file = (folder / relative).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        raise InvalidParameter(
            f"The MLmodel file names {quote(relative)}, which is not a file of the model's folder."
        )
    return file


def local_path_of_artifact(uri: str) -> Path:
    """Return the local file or folder that an artifact is copied from.

    Raises:
        NotFound: The path does not exist on this machine.
    """
    source = Path(_path_of_file(uri)) if uri.startswith("file:") else Path(uri)
    if not source.exists():
        raise NotFound(f"No artifact found at {uri!r}: give a local file or folder.")
    return source


def _path_of_file(uri: str) -> str:
    """Return the path that a URI such as file:///folder/file or file:///C:/folder/file names."""
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    parts = urlsplit(uri)
    host = f"//{parts.netloc}" if parts.netloc not in {"", "localhost"} else ""
    return url2pathname(host + parts.path)
