from __future__ import annotations

from pathlib import Path

import pytest

from modelyard_mlflow.local_files import LocalFiles
from modelyard_mlflow.source import SourceFile, Tree, Unreadable

RUN = "0123456789abcdef0123456789abcdef"
MODEL = f"m-{RUN}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in (f"1/{RUN}/artifacts/model", f"1/models/{MODEL}/artifacts"):
        path = tmp_path / "root" / folder
        path.mkdir(parents=True)
        (path / "MLmodel").write_text("flavors: {}\n")
    return tmp_path / "root"


@pytest.mark.parametrize(
    "uri",
    [
        f"mlflow-artifacts:/1/{RUN}/artifacts",
        f"mlflow-artifacts://host:5000/1/{RUN}/artifacts",
        f"s3://bucket/some/prefix/1/{RUN}/artifacts",
        f"file:///elsewhere/mlruns/1/{RUN}/artifacts",
        f"/elsewhere/mlruns/1/{RUN}/artifacts",
    ],
)
def test_a_copy_of_any_artifact_root_is_read(uri: str, root: Path) -> None:
    local = LocalFiles(root, trusts_paths=False)
    assert list(local.files(Tree(uri, run_id=RUN))) == [SourceFile("model/MLmodel", 12)]


def test_files_of_a_logged_model_are_found_below_the_root(root: Path) -> None:
    local = LocalFiles(root, trusts_paths=False)
    tree = Tree(f"mlflow-artifacts:/1/models/{MODEL}/artifacts", model_id=MODEL)
    assert [file.path for file in local.files(tree)] == ["MLmodel"]


def test_a_run_without_a_folder_has_no_files(root: Path) -> None:
    local = LocalFiles(root, trusts_paths=False)
    assert list(local.files(Tree(f"mlflow-artifacts:/1/{'f' * 32}/artifacts"))) == []


def test_a_root_that_knows_nothing_of_the_experiment_is_said_to_be_wrong(root: Path) -> None:
    local = LocalFiles(root, trusts_paths=False)
    with pytest.raises(Unreadable, match="is out of reach: it is not below"):
        list(local.files(Tree(f"mlflow-artifacts:/2/{RUN}/artifacts")))


@pytest.mark.parametrize(
    "uri",
    ["/etc", "file:///etc", "mlflow-artifacts:/../../etc", f"/x/../../1/{RUN}/artifacts/../../.."],
)
def test_nothing_outside_of_the_root_is_read(uri: str, root: Path) -> None:
    (root.parent / "secret").write_text("s")
    local = LocalFiles(root / "1", trusts_paths=True)
    assert not local.has(Tree(uri))
    with pytest.raises(Unreadable):
        list(local.files(Tree(uri)))


def test_a_link_that_leaves_its_tree_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (root / "1" / RUN / "artifacts" / "link").symlink_to(tmp_path / "secret")
    local = LocalFiles(root, trusts_paths=False)
    with pytest.raises(Unreadable, match="'link' is a link that leaves"):
        local.fetch(Tree(f"s3://b/1/{RUN}/artifacts"), "link", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_without_a_root_only_an_owners_own_folder_is_read_and_only_if_nearby(root: Path) -> None:
    own = f"{root}/1/{RUN}/artifacts"
    nearby = LocalFiles(None, trusts_paths=True)
    assert nearby.has(Tree(own, run_id=RUN))
    assert not nearby.has(Tree(own))  # a version's source: whatever a client once said
    assert not nearby.has(Tree(str(root), run_id=RUN))
    assert not LocalFiles(None, trusts_paths=False).has(Tree(own, run_id=RUN))
    assert "--artifact-root" in nearby.why_not(Tree("s3://b/1"))
