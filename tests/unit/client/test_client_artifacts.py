from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import modelyard
from modelyard._artifacts import cache, manifests, objects, operations
from modelyard.client import MlflowClient
from modelyard.exceptions import (
    DataLoss,
    InvalidParameter,
    InvalidState,
    NotFound,
)
from modelyard_server.processes.embedded import Embedded


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "deep" / "deeper").mkdir(parents=True)
    (root / "one.txt").write_text("one")
    (root / "empty").write_bytes(b"")
    (root / "deep" / "two.bin").write_bytes(os.urandom(100_000))
    (root / "deep" / "deeper" / "drei.txt").write_text("drei")
    return root


def _content(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_a_tree_comes_back_as_it_was(
    client: MlflowClient, run_id: str, tree: Path, tmp_path: Path
) -> None:
    client.log_artifacts(run_id, tree, "data")
    client.log_artifact(run_id, tree / "deep")
    listed = {file.path: file for file in client.list_artifacts(run_id)}
    assert set(listed) == {"data", "deep"}
    assert listed["data"].is_dir
    files = {file.path: file.file_size for file in client.list_artifacts(run_id, "data")}
    assert files == {"data/deep": None, "data/empty": 0, "data/one.txt": 3}
    found = client.download_artifacts(run_id, "data", tmp_path / "to" / "here")
    assert found == str(tmp_path / "to" / "here" / "data")
    assert _content(Path(found)) == _content(tree)
    one = client.download_artifacts(run_id, "data/one.txt")
    assert Path(one).read_text() == "one"
    everything = Path(client.download_artifacts(run_id))
    assert set(_content(everything / "deep")) == {"two.bin", "deeper/drei.txt"}


def test_the_same_bytes_are_uploaded_once(
    platform: Embedded, client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(os.urandom(1000))
    digest = hashlib.sha256((tmp_path / "a").read_bytes()).hexdigest()
    client.log_artifact(run_id, tmp_path / "a", "first")
    (kept,) = platform.home.rglob(digest)
    written = kept.stat().st_mtime_ns
    client.log_artifact(run_id, tmp_path / "a", "second")
    assert kept.stat().st_mtime_ns == written
    assert len(client.list_artifacts(run_id)) == 2


def test_a_file_over_64_mib_goes_in_parts(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    block = os.urandom(1 << 20)
    with (tmp_path / "large").open("wb") as file:
        for number in range(65):
            file.write(number.to_bytes(4, "big") + block[4:])
        file.write(b"rest")
    described = objects.describe("large", tmp_path / "large")
    assert [part.size_bytes for part in described.objects] == [64 << 20, (1 << 20) + 4]
    client.log_artifact(run_id, tmp_path / "large")
    found = client.download_artifacts(run_id, "large", tmp_path / "back")
    assert objects.describe("large", Path(found)) == described


def test_missing_local_files_are_named(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing"):
        client.log_artifact(run_id, tmp_path / "nothing")
    with pytest.raises(NotFound, match="nothing"):
        client.log_artifacts(run_id, tmp_path / "nothing")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    with pytest.raises(NotFound, match="broken"):
        client.log_artifacts(run_id, tmp_path)
    assert client.list_artifacts(run_id) == []


def test_an_empty_folder_uploads_nothing(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    client.log_artifacts(run_id, tmp_path)
    assert client.list_artifacts(run_id) == []


@pytest.mark.parametrize("path", ["../up", "/etc", "a/../../b", "a//b"])
def test_a_path_that_leaves_the_tree_is_refused(
    client: MlflowClient, run_id: str, tree: Path, path: str
) -> None:
    with pytest.raises(InvalidParameter):
        client.log_artifact(run_id, tree / "one.txt", path)
    assert client.list_artifacts(run_id) == []


def test_missing_artifacts_are_named(client: MlflowClient, run_id: str) -> None:
    with pytest.raises(NotFound, match="absent"):
        client.download_artifacts(run_id, "absent")
    with pytest.raises(NotFound):
        client.download_artifacts(uuid.uuid4().hex)


def test_text_dicts_and_figures_are_written(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    client.log_text(run_id, "grüß", "notes/t.txt")
    client.log_dict(run_id, {"a": [1]}, "d.json")
    client.log_dict(run_id, {"a": [1]}, "d.yaml")

    class Figure:
        def savefig(self, file: Path, dpi: int) -> None:
            file.write_text(f"figure of {dpi}")

    class Image:
        def save(self, file: Path) -> None:
            file.write_text("image")

    client.log_figure(run_id, Figure(), "f.png", save_kwargs={"dpi": 7})
    client.log_image(run_id, Image(), "i.png")
    root = Path(client.download_artifacts(run_id, dst_path=tmp_path))
    assert (root / "notes" / "t.txt").read_text(encoding="utf-8") == "grüß"
    assert json.loads((root / "d.json").read_text()) == {"a": [1]}
    assert (root / "d.yaml").read_text() == "a:\n- 1\n"
    assert (root / "f.png").read_text() == "figure of 7"
    assert (root / "i.png").read_text() == "image"


def test_what_is_no_figure_image_or_file_name_is_refused(client: MlflowClient, run_id: str) -> None:
    with pytest.raises(InvalidParameter, match="got a int"):
        client.log_figure(run_id, 7, "f.png")
    with pytest.raises(InvalidParameter, match="got a int"):
        client.log_image(run_id, 7, "f.png")
    for name in ("", "..", "a/.."):
        with pytest.raises(InvalidParameter, match="artifact_file"):
            client.log_text(run_id, "x", name)


def test_every_kind_of_uri_is_downloaded(client: MlflowClient, tree: Path, tmp_path: Path) -> None:
    run = client.create_run("0")
    client.log_artifacts(run.info.run_id, tree, "data")
    model = client.create_logged_model("0", "m", run.info.run_id)
    client.log_model_artifacts(model.model_id, tree)
    client.log_model_artifact(model.model_id, tree / "deep")
    client.finalize_logged_model(model.model_id, "READY")
    assert {f.path for f in client.list_logged_model_artifacts(model.model_id)} == {
        "deep",
        "empty",
        "one.txt",
    }
    download = modelyard.artifacts.download_artifacts
    for number, uri in enumerate(
        (
            f"runs:/{run.info.run_id}/data",
            f"{run.info.artifact_uri}/data",
            model.artifact_location,
            model.model_uri,
        )
    ):
        found = Path(download(uri, dst_path=tmp_path / str(number)))
        assert _content(found) == _content(tree), uri
    assert {f.path for f in modelyard.artifacts.list_artifacts(run_id=run.info.run_id)} >= {"data"}
    assert len(modelyard.artifacts.list_artifacts(model.artifact_location)) == 3


@pytest.mark.usefixtures("client")
def test_a_malformed_place_is_refused() -> None:
    download = modelyard.artifacts.download_artifacts
    with pytest.raises(InvalidParameter, match="either artifact_uri or run_id"):
        download()
    with pytest.raises(InvalidParameter, match="goes with run_id"):
        download("runs:/a/b", artifact_path="c")
    for uri in ("s3://bucket/x", "/tmp/x", "runs:/", "mlflow-artifacts:/x"):  # noqa: S108
        with pytest.raises(InvalidParameter, match="expected runs:/<run_id>/<path>"):
            download(uri)
    with pytest.raises(InvalidParameter, match="cannot be listed"):
        modelyard.artifacts.list_artifacts("models:/iris/1")


def _registered(client: MlflowClient, run_id: str, tree: Path) -> str:
    client.log_artifacts(run_id, tree, "model")
    name = uuid.uuid4().hex
    client.create_model_version(name, f"runs:/{run_id}/model", create_registered_model=True)
    return name


def test_a_model_is_fetched_by_every_uri(client: MlflowClient, run_id: str, tree: Path) -> None:
    name = _registered(client, run_id, tree)
    client.transition_model_version_stage(name, 1, "Production")
    client.set_registered_model_alias(name, "best", 1)
    for uri in (f"{name}/1", f"{name}/Production", f"{name}/production", f"{name}/latest"):
        fetched = operations.fetch_model(f"models:/{uri}")
        assert _content(fetched.path) == _content(tree)
        assert (fetched.name, fetched.version, fetched.run_id) == (name, "1", run_id)
    assert operations.fetch_model(f"models:/{name}@best").version == "1"
    by_run = operations.fetch_model(f"runs:/{run_id}/model")
    assert (by_run.name, by_run.digest) == (None, fetched.digest)
    assert by_run.path == fetched.path


def test_a_cached_model_is_made_good_again(client: MlflowClient, run_id: str, tree: Path) -> None:
    uri = f"models:/{_registered(client, run_id, tree)}/1"
    folder = operations.fetch_model(uri).path
    before = _content(folder)
    damages: list[Callable[[], object]] = [
        partial((folder / "one.txt").write_text, "two"),
        (folder / "deep" / "two.bin").unlink,
        (folder / "added.py").touch,
    ]
    for damage in damages:
        damage()
        assert _content(operations.fetch_model(uri).path) == before
    for kept in (cache.root() / "sha256").rglob("?" * 64):
        kept.write_bytes(b"tampered")
    (folder / "one.txt").write_text("two")
    assert _content(operations.fetch_model(uri).path) == before
    assert cache.root().stat().st_mode & 0o777 == 0o700
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, f"{folder.name}.lock"}


def test_bytes_the_store_lost_are_not_handed_on(
    platform: Embedded, client: MlflowClient, run_id: str, tree: Path, tmp_path: Path
) -> None:
    name = _registered(client, run_id, tree)
    digest = hashlib.sha256((tree / "deep" / "two.bin").read_bytes()).hexdigest()
    (kept,) = platform.home.rglob(digest)
    kept.chmod(0o600)
    kept.write_bytes(kept.read_bytes()[:-1] + b"!")
    with pytest.raises(DataLoss, match=r"'deep/two\.bin'"):
        operations.fetch_model(f"models:/{name}/1")
    with pytest.raises(DataLoss, match=r"'model/deep/two\.bin'"):
        client.download_artifacts(run_id, "model", tmp_path / "to")
    assert not list((tmp_path / "to").rglob("two.bin"))
    assert not list((cache.root() / "models").rglob("one.txt"))


def test_a_cache_that_cannot_be_made_is_named(
    client: MlflowClient, run_id: str, tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = _registered(client, run_id, tree)
    (tmp_path / "file").touch()
    monkeypatch.setenv("MODELYARD_CACHE", str(tmp_path / "file"))
    with pytest.raises(InvalidState, match="MODELYARD_CACHE"):
        operations.fetch_model(f"models:/{name}/1")


@pytest.mark.parametrize("path", ["../a", "/a", "a/../b", "a//b", "", ".", "a\0b"])
def test_a_manifest_that_leaves_its_folder_is_refused(path: str) -> None:
    digest = hashlib.sha256(b"").hexdigest()
    files = [{"path": path, "sha256": digest, "size": 0}]
    manifest = json.dumps({"files": files, "version": 1}).encode()
    with pytest.raises(DataLoss, match="outside of the model's folder"):
        list(manifests.files_of(manifest, hashlib.sha256(manifest).hexdigest(), "models:/a/1"))


def test_a_manifest_with_other_bytes_is_refused() -> None:
    with pytest.raises(DataLoss, match="models:/a/1"):
        list(manifests.files_of(b"{}", "0" * 64, "models:/a/1"))


def test_a_digest_that_is_none_never_becomes_a_path() -> None:
    manifest = json.dumps(
        {"files": [{"path": "a", "sha256": "../../x", "size": 0}], "version": 1}
    ).encode()
    with pytest.raises(DataLoss, match="not a SHA-256"):
        list(manifests.files_of(manifest, hashlib.sha256(manifest).hexdigest(), "models:/a/1"))


def test_two_who_fetch_at_once_get_the_same_folder(
    client: MlflowClient, run_id: str, tree: Path
) -> None:
    uri = f"models:/{_registered(client, run_id, tree)}/1"
    start = threading.Barrier(4)

    def fetch(_: int) -> Path:
        start.wait()
        return operations.fetch_model(uri).path

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fetch, range(4)))
    assert len(set(found)) == 1
    assert _content(found[0]) == _content(tree)
