"""Large files of runs, uploaded and downloaded in parts."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow

MIB = 1 << 20


@contextmanager
def _in_pieces() -> Iterator[None]:
    settings = {
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
        "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(MIB),
        "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(5 * MIB),
        "MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE": str(3 * MIB),
    }
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            del os.environ[name]


def a_large_file_goes_up_and_comes_down_in_pieces() -> None:
    data = os.urandom(12 * MIB + 1)
    file = Path(tempfile.mkdtemp()) / "a large file.bin"
    file.write_bytes(data)
    run_id = mlflow.start_run().info.run_id
    with _in_pieces():
        mlflow.log_artifact(str(file), "in here")
        found = mlflow.artifacts.download_artifacts(
            run_id=run_id, artifact_path="in here/a large file.bin"
        )
    assert Path(found).read_bytes() == data
    (listed,) = mlflow.MlflowClient().list_artifacts(run_id, "in here")
    assert (listed.path, listed.file_size) == ("in here/a large file.bin", len(data))


def a_file_logged_again_in_pieces_is_replaced() -> None:
    file = Path(tempfile.mkdtemp()) / "file.bin"
    run_id = mlflow.start_run().info.run_id
    for size_bytes in (6 * MIB, 11 * MIB, 10):
        file.write_bytes(os.urandom(size_bytes))
        with _in_pieces():
            mlflow.log_artifact(str(file))
        found = mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="file.bin")
        assert Path(found).read_bytes() == file.read_bytes()
