"""Files of runs and logged models."""

from __future__ import annotations

import json
import os
import reprlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from modelyard import _wire
from modelyard._artifacts import local_names, operations
from modelyard._client import images
from modelyard._client.calls import Calls
from modelyard._client.points import now_ms
from modelyard._extras import require_extra
from modelyard._transport import rpc
from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.tracking.v1 import tracking_pb2 as tracking_pb
from modelyard.entities import FileInfo
from modelyard.exceptions import InvalidParameter

_LOGGED_IMAGES_TAG = "mlflow.loggedImages"


class Artifacts(Calls):
    def log_artifact(
        self, run_id: str, local_path: str | Path, artifact_path: str | Path | None = None
    ) -> None:
        """Upload a file, or a folder under its own name.

        Args:
            run_id: Id of an active run.
            local_path: File or folder to upload.
            artifact_path: Target folder in the run's artifacts; the root by default.

        Raises:
            NotFound: The local file or the run does not exist.
        """
        owner = operations.Owner(run_id=run_id)
        operations.upload(self.tracking_uri, owner, local_path, artifact_path)

    def log_artifacts(
        self, run_id: str, local_dir: str | Path, artifact_path: str | Path | None = None
    ) -> None:
        """Upload the content of a folder; files of the same path are replaced.

        Raises:
            NotFound: The local folder or the run does not exist.
        """
        owner = operations.Owner(run_id=run_id)
        operations.upload_content(self.tracking_uri, owner, local_dir, artifact_path)

    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Write text to a file of the run, such as "notes/why.txt"."""
        with self._written(run_id, artifact_file) as file:
            file.write_text(text, encoding="utf-8")

    def log_dict(self, run_id: str, dictionary: Mapping[Any, Any], artifact_file: str) -> None:
        """Write a dict as YAML (`.yml`, `.yaml`) or else JSON to a file of the run."""
        try:
            text = json.dumps(dictionary, indent=2, default=_plain)
        except (TypeError, ValueError):
            raise InvalidParameter(
                f"The value for '{artifact_file}' cannot be written as JSON: a key is neither text "
                "nor number, or the value contains itself."
            ) from None
        if artifact_file.endswith((".yml", ".yaml")):
            require_extra("log_dict to a YAML file", "sklearn", "yaml")
            import yaml

            text = yaml.safe_dump(json.loads(text), indent=2, allow_unicode=True, sort_keys=False)
        self.log_text(run_id, text, artifact_file)

    def log_figure(
        self,
        run_id: str,
        figure: Any,
        artifact_file: str,
        *,
        save_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a matplotlib figure (format by suffix) or plotly figure (HTML, or image by suffix).

        Raises:
            InvalidParameter: `figure` is neither, or cannot be written in that format.
        """
        options = dict(save_kwargs or {})
        with self._written(run_id, artifact_file) as file:
            write = _writer(figure, file.suffix)
            if not file.suffix and "format" not in options:
                raise InvalidParameter(
                    f"Invalid artifact_file '{artifact_file}': a figure needs a suffix that names "
                    f"its format, such as {file.name}.png."
                )
            try:
                write(file, **options)
            except (ValueError, TypeError, OSError, ImportError, RuntimeError) as refused:
                raise InvalidParameter(
                    f"The figure cannot be written as '{artifact_file}': {refused}"
                ) from refused

    def log_image(
        self,
        run_id: str,
        image: Any,
        artifact_file: str | None = None,
        key: str | None = None,
        step: int | None = None,
        timestamp: int | None = None,
        synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
    ) -> None:
        """Write an image to a file of the run, or add it to the series `key`.

        Args:
            run_id: Id of an active run.
            image: A Pillow image, a `modelyard.Image`, or an array or tensor of shape (height,
                width) or (height, width, 1, 3 or 4): bools, integers of 0 to 255, or floats of 0
                to 1. Other floats are scaled to that range with a warning.
            artifact_file: File to write, such as "plots/mask.png"; exclusive with the others.
            key: Series of the image. A PNG file and a small preview are written to `images/`.
            step: Position of the image in its series; 0 by default.
            timestamp: Time of the image, milliseconds of Unix time; now by default.
            synchronous: Ignored: the files are stored when the call returns.

        Raises:
            InvalidParameter: The image or the key is invalid, or the format cannot hold the image.
        """
        given_key = any(value is not None for value in (key, step, timestamp))
        if (artifact_file is None) == (key is None) or (artifact_file is not None and given_key):
            raise InvalidParameter(
                "log_image needs either artifact_file, or key and optionally step and timestamp."
            )
        picture = images.pillow_image(image)
        if artifact_file is not None:
            with self._written(run_id, artifact_file) as file:
                images.save(picture, file)
            return
        timestamp_ms = now_ms() if timestamp is None else timestamp
        path = images.path_of_step(str(key), step or 0, timestamp_ms)
        preview = images.preview(picture)
        with self._written(run_id, f"{path}.png") as file:
            images.save(picture, file)
        with self._written(run_id, f"{path}+compressed.webp") as file:
            images.save(preview, file)
        tag = tracking_pb.SetTagRequest(run_id=run_id, key=_LOGGED_IMAGES_TAG, value="True")
        self._tracking(tag, tracking_pb.SetTagResponse)

    @contextmanager
    def _written(self, run_id: str, artifact_file: str) -> Iterator[Path]:
        """Yield a local file to write, then upload it."""
        path = PurePosixPath(str(artifact_file).replace(os.sep, "/"))  # of Windows: a backslash
        if not path.name or path.name == ".." or "\0" in artifact_file:
            raise InvalidParameter(
                f"Invalid artifact_file '{artifact_file}': expected a path such as notes/why.txt."
            )
        folder = None if path.parent == PurePosixPath() else str(path.parent)
        with tempfile.TemporaryDirectory(prefix="modelyard-") as temporary:
            if problem := local_names.problem_in(Path(temporary), path.name):
                raise InvalidParameter(
                    f"Invalid artifact_file {reprlib.repr(artifact_file)}: {problem}."
                )
            file = Path(temporary) / path.name
            yield file
            self.log_artifact(run_id, file, folder)

    def list_artifacts(self, run_id: str, path: str | None = None) -> list[FileInfo]:
        """Return one level of a run's files and folders, including its logged models."""
        request = pb.ListArtifactsRequest(run_id=run_id, path=path)
        pages = rpc.pages(self._tracking, request, pb.ListArtifactsResponse)
        return [_wire.file_info(item) for page in pages for item in page.files]

    def download_artifacts(
        self, run_id: str, path: str | None = "", dst_path: str | Path | None = None
    ) -> str:
        """Download a file or folder of a run and verify it by digest.

        Args:
            run_id: Id of the run, which may be deleted.
            path: Path in the run's artifacts; all of them by default.
            dst_path: An existing folder; a new temporary one by default.

        Returns:
            Local path of the file or folder.

        Raises:
            NotFound: The run has no such file.
            DataLoss: The bytes differ from their digest.
        """
        owner = operations.Owner(run_id=run_id)
        return str(operations.download(self.tracking_uri, owner, path or "", dst_path))

    def log_model_artifact(self, model_id: str, local_path: str | Path) -> None:
        """Upload a file, or a folder under its own name, to a PENDING logged model."""
        operations.upload(self.tracking_uri, operations.Owner(model_id=model_id), local_path, None)

    def log_model_artifacts(self, model_id: str, local_dir: str | Path) -> None:
        """Upload the content of a folder to a PENDING logged model."""
        owner = operations.Owner(model_id=model_id)
        operations.upload_content(self.tracking_uri, owner, local_dir, None)

    def list_logged_model_artifacts(self, model_id: str, path: str | None = None) -> list[FileInfo]:
        """Return one level of a logged model's files and folders."""
        request = pb.ListLoggedModelArtifactsRequest(
            model_id=model_id, artifact_directory_path=path
        )
        pages = rpc.pages(self._tracking, request, pb.ListLoggedModelArtifactsResponse)
        return [_wire.file_info(item) for page in pages for item in page.files]


def _writer(figure: Any, suffix: str) -> Callable[..., Any]:
    """Return the method of a figure that writes it to a file."""
    for name in ("savefig", "write_html" if suffix == ".html" else "write_image"):
        if hasattr(figure, name):
            write: Callable[..., Any] = getattr(figure, name)
            return write
    raise InvalidParameter(
        f"Expected a matplotlib or plotly figure, got a {type(figure).__name__}."
    )


def _plain(value: Any) -> Any:
    """Convert arrays and numpy scalars to JSON types, and anything else to text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
