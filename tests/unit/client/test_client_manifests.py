"""Bytes that versions are pinned to, by the URIs that MLflow's clients are given for them."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

import modelyard
from modelyard._artifacts import operations
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, NotFound

FILES = {"MLmodel": b"flavors: {}", "data/weights.bin": b"weights", "data/deep/x.txt": b""}


@pytest.fixture
def uri(client: MlflowClient, tmp_path: Path) -> str:
    """The download URI of a version whose run was deleted."""
    run_id = client.create_run("0").info.run_id
    for path, data in FILES.items():
        file = tmp_path / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    client.log_artifacts(run_id, tmp_path / "tree", "model")
    name = uuid.uuid4().hex
    modelyard.register_model(f"runs:/{run_id}/model", name)
    client.delete_run(run_id)
    uri = client.get_model_version_download_uri(name, "1")
    assert uri.startswith("mlflow-artifacts:/manifests/")
    return uri


def _content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_download_uri_is_downloaded_whole_or_in_part(uri: str, tmp_path: Path) -> None:
    download = modelyard.artifacts.download_artifacts
    assert _content(Path(download(uri))) == FILES
    assert _content(Path(download(f"{uri}/", dst_path=tmp_path / "a"))) == FILES
    assert Path(download(f"{uri}/MLmodel")).read_bytes() == b"flavors: {}"
    folder = Path(download(f"{uri}/data", dst_path=tmp_path / "b"))
    assert folder == tmp_path / "b" / "data"
    assert _content(folder) == {"weights.bin": b"weights", "deep/x.txt": b""}
    with pytest.raises(NotFound, match="no file at 'dat'"):
        download(f"{uri}/dat")


def test_the_form_with_three_slashes_is_the_same(uri: str) -> None:
    three = uri.replace("mlflow-artifacts:/", "mlflow-artifacts:///")
    assert _content(Path(modelyard.artifacts.download_artifacts(three))) == FILES


def test_a_download_uri_is_listed_by_level(uri: str) -> None:
    listed = modelyard.artifacts.list_artifacts
    assert [(f.path, f.is_dir, f.file_size) for f in listed(uri)] == [
        ("MLmodel", False, 11),
        ("data", True, None),
    ]
    assert [f.path for f in listed(f"{uri}/data")] == ["data/deep", "data/weights.bin"]
    assert listed(f"{uri}/nowhere") == []


def test_a_model_is_fetched_by_the_artifact_uris_that_stand_for_it(
    client: MlflowClient, uri: str, tmp_path: Path
) -> None:
    digest = uri.rpartition("/")[2]
    fetched = operations.fetch_model(uri)
    assert (_content(fetched.path), fetched.digest) == (FILES, digest)
    assert _content(operations.fetch_model(uri, str(tmp_path / "copy")).path) == FILES
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, tmp_path / "tree", "model")
    assert operations.fetch_model(f"{run.info.artifact_uri}/model").digest == digest
    model = client.create_logged_model("0", "m", run.info.run_id)
    client.log_model_artifacts(model.model_id, tmp_path / "tree")
    client.finalize_logged_model(model.model_id, "READY")
    assert operations.fetch_model(model.artifact_location).digest == digest
    with pytest.raises(InvalidParameter, match="leave out the path"):
        operations.fetch_model(f"{uri}/data")


@pytest.mark.usefixtures("client")
def test_a_manifest_no_version_has_is_not_found() -> None:
    with pytest.raises(NotFound, match="No version has the manifest"):
        modelyard.artifacts.download_artifacts(f"mlflow-artifacts:/manifests/{'a' * 64}")


@pytest.mark.parametrize(
    "uri",
    [
        "mlflow-artifacts:/manifests/abc",
        f"mlflow-artifacts:/manifests/{'A' * 64}",
        "mlflow-artifacts:/0/run",
        "mlflow-artifacts:/x/run/artifacts",
        f"mlflow-artifacts:/0/models/{'a' * 32}/artifacts",
    ],
)
def test_an_artifact_uri_of_no_form_of_ours_is_refused(uri: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid artifact URI"):
        modelyard.artifacts.download_artifacts(uri)


def test_a_uri_does_not_decide_which_server_gets_the_token() -> None:
    for host in ("evil.example", "127.0.0.1:5000"):
        with pytest.raises(InvalidParameter, match="names a server; set the tracking URI"):
            modelyard.artifacts.download_artifacts(f"mlflow-artifacts://{host}/0/run/artifacts/a")
