"""Files that cannot all be brought along: the others are, and the report says which are not."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelyard.internal import Owner
from modelyard_mlflow.artifacts import ArtifactCopier, Missing, described
from modelyard_mlflow.destination import DryRun, Fetch
from modelyard_mlflow.local_files import LocalFiles
from modelyard_mlflow.report import Report
from modelyard_mlflow.server_reader import ServerReader
from modelyard_mlflow.source import SourceFile, Tree, Unreadable


class Origin(ServerReader):
    """Tells a file where a folder is, one twice, one that leaves the tree, one that is gone."""

    def __init__(self) -> None:
        """Ask no server."""

    def files(self, _: Tree) -> Iterator[SourceFile]:
        for path in ("a", "a/b", "c", "c", "../up", "/etc/x", "", "gone"):
            yield SourceFile(path, 1)

    def fetch(self, _: Tree, path: str, target: Path) -> None:
        if path == "gone":
            raise Unreadable("'gone' is gone")
        target.write_bytes(b"x")


@dataclass
class Folder(DryRun):
    """A target whose files are in a folder."""

    root: Path

    def put(self, _: Owner, files: Iterable[SourceFile], fetch: Fetch) -> None:
        for file in files:
            path = self.root / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            fetch(file.path, path)


def test_files_that_cannot_be_kept_or_read_are_told_and_the_others_come(tmp_path: Path) -> None:
    report = Report("there", "here")
    missing, root = Missing(), Folder(tmp_path / "root")
    trees = ArtifactCopier(Origin(), root, report, missing)
    tree = Tree("mlflow-artifacts:/1/r/artifacts", run_id="r")
    assert trees.copy(tree, Owner(run_id="r"), "run r", lambda: None)
    here = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert here == {"root/a/b", "root/c"}
    assert report.created == {"files": 2, "bytes": 2}
    kinds = [(difference.kind, difference.detail) for difference in report.differences]
    assert ("artifacts-unreadable", "'gone' is gone") in kinds
    assert [kind for kind, _ in kinds].count("artifacts-refused") == 4
    assert report.exit_code == 3
    assert set(missing.files[Owner(run_id="r")]) == {"a", "", "gone"}
    assert "'gone' ('gone' is gone)" in described(missing.below(Owner(run_id="r")))


class Local(Origin):
    """Has the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._local = LocalFiles(folder, trusts_paths=False)

    def files(self, tree: Tree) -> Iterator[SourceFile]:
        return self._local.files(tree)

    def fetch(self, tree: Tree, path: str, target: Path) -> None:
        self._local.fetch(tree, path, target)


def test_a_file_whose_name_is_not_utf_8_is_reported_and_missing_in_its_folder(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "there"
    for name in (b"d/n\xe9.txt", b"d/kept", b"n\xe9/inside"):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    report, missing = Report("there", "here"), Missing()
    copier = ArtifactCopier(Local(folder), Folder(tmp_path / "root"), report, missing)
    assert copier.copy(Tree(str(folder)), Owner(run_id="r"), "run r", lambda: None)
    assert [path.name for path in (tmp_path / "root").rglob("*")] == ["d", "kept"]
    assert set(missing.files[Owner(run_id="r")]) == {"d", ""}
    assert "n\\udce9.txt" in report.summary()
    assert report.exit_code == 3
    report.write(tmp_path / "report.json")
