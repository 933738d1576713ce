"""Names of files, and files that change, on their way to the store and back."""

from __future__ import annotations

import hashlib
import os
import socket
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.hostile.names import ODD_NAMES

from modelyard import artifacts
from modelyard._artifacts import local_names, objects, operations, progress
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidParameter, InvalidState, NotFound


@pytest.fixture
def run_id(client: MlflowClient) -> str:
    return client.create_run("0").info.run_id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


@contextmanager
def when_moved(act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Do something as soon as the first bytes of a transfer have moved."""
    moved = iter([act])

    @contextmanager
    def shown(_what: str, _total_bytes: int) -> Iterator[progress.Advance]:
        def advance(moved_bytes: int) -> None:
            if moved_bytes:
                next(moved, lambda: None)()

        yield advance

    with monkeypatch.context() as during:
        during.setattr(progress, "shown", shown)
        yield


def content(root: str | Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in Path(root).rglob("*")
        if path.is_file()
    }


def test_every_name_of_the_file_system_comes_back_in_run_and_model(
    client: MlflowClient, run_id: str, folder: Path, tmp_path: Path
) -> None:
    for name in ODD_NAMES:
        (folder / name).mkdir()
        (folder / name / name).write_text(name)
    (folder / "MLmodel").write_text("flavors: {}")
    before = content(folder)
    client.log_artifacts(run_id, folder, "a: b?")
    assert content(client.download_artifacts(run_id, "a: b?")) == before
    assert {item.path for item in client.list_artifacts(run_id, "a: b?")} == {
        *(f"a: b?/{name}" for name in ODD_NAMES),
        "a: b?/MLmodel",
    }
    for name in ODD_NAMES:
        path = f"a: b?/{name}/{name}"
        assert Path(client.download_artifacts(run_id, path)).read_text() == name
    client.create_registered_model("names")
    client.create_model_version("names", f"runs:/{run_id}/a: b?")
    assert content(operations.fetch_model("models:/names/1").path) == before
    assert content(operations.fetch_model("models:/names/1").path) == before  # from the cache
    assert content(operations.fetch_model("models:/names/1", str(tmp_path / "out")).path) == before


def test_a_name_that_is_not_utf8_is_named_before_anything_is_uploaded(
    client: MlflowClient, run_id: str, folder: Path
) -> None:
    (folder / "a.txt").write_text("a")
    odd = Path(os.fsdecode(os.fsencode(folder) + b"/na\xefve.txt"))
    odd.write_text("b")
    for log in (client.log_artifacts, client.log_artifact):
        with pytest.raises(InvalidParameter, match=r"na\\xefve\.txt' is not UTF-8"):
            log(run_id, folder)
    with pytest.raises(InvalidParameter, match=r"na\\xefve\.txt' is not UTF-8"):
        client.log_artifact(run_id, odd)
    assert client.list_artifacts(run_id) == []


def test_what_is_not_a_file_is_left_out_of_a_run_with_a_warning(
    client: MlflowClient, run_id: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "file").write_text("a")
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(folder.parent, target_is_directory=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket"))
        client.log_artifacts(run_id, folder)
    assert [item.path for item in client.list_artifacts(run_id)] == ["file"]
    assert {str(folder / name) in caplog.text for name in ("pipe", "link", "socket")} == {True}
    with pytest.raises(InvalidParameter, match="pipe is not a regular file"):
        client.log_artifact(run_id, folder / "pipe")


def test_a_logged_model_is_uploaded_whole_or_not_at_all(
    client: MlflowClient, run_id: str, folder: Path
) -> None:
    model = client.create_logged_model("0", "m", source_run_id=run_id)
    (folder / "MLmodel").write_text("a")
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidParameter, match=r"pipe cannot be uploaded.*Nothing was uploaded"):
        client.log_model_artifacts(model.model_id, folder)
    assert client.list_logged_model_artifacts(model.model_id) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_named_before_anything_is_uploaded(
    client: MlflowClient, run_id: str, folder: Path
) -> None:
    (folder / "a").write_text("a")
    (folder / "secret").mkdir(mode=0)
    with pytest.raises(NotFound, match="secret cannot be read"):
        client.log_artifacts(run_id, folder)
    assert client.list_artifacts(run_id) == []


@pytest.mark.parametrize("part_bytes", [1 << 20, 100])
def test_a_file_that_grows_is_hashed_as_it_was_when_first_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch, part_bytes: int
) -> None:
    log = folder / "train.log"
    log.write_bytes(first := os.urandom(250))
    source = objects.Source.of(log)
    monkeypatch.setattr(objects, "PART_BYTES", part_bytes)
    with log.open("ab") as file:
        file.write(b"more\n")
    described = objects.describe_all([("train.log", source)], objects.one_by_one)[0]
    assert described.size_bytes == 250
    assert described.digest == hashlib.sha256(first).hexdigest()
    assert [part.digest for part in described.objects] == [
        hashlib.sha256(first[start : start + part_bytes]).hexdigest()
        for start in range(0, 250, part_bytes)
    ]


def test_a_file_that_grows_during_the_upload_is_stored_as_it_was(
    client: MlflowClient, run_id: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.log", "b.log"):
        (folder / name).write_bytes(name.encode() * 100)
    before = content(folder)

    def grow() -> None:
        for path in folder.iterdir():
            with path.open("ab") as file:
                file.write(b"more\n")

    with when_moved(grow, monkeypatch):
        client.log_artifacts(run_id, folder, "logs")
    assert content(client.download_artifacts(run_id, "logs")) == before


def test_a_file_that_vanishes_is_left_out_of_a_folder_with_a_warning(
    client: MlflowClient,
    run_id: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for number in range(20):  # more than there are threads
        (folder / f"{number:02}").write_text(str(number))
    with when_moved((folder / "19").unlink, monkeypatch):
        client.log_artifacts(run_id, folder)
    assert [item.path for item in client.list_artifacts(run_id)] == [
        f"{number:02}" for number in range(19)
    ]
    assert f"{folder}/19 is left out of the upload: it was removed" in caplog.text


def test_a_file_that_is_cut_or_replaced_is_refused_by_name(folder: Path) -> None:
    path, other = folder / "a.log", folder / "other"
    for change in (lambda: os.truncate(path, 3), lambda: other.replace(path)):
        path.write_bytes(b"12345")
        other.write_bytes(b"1234567")
        source = objects.Source.of(path)
        change()
        with pytest.raises(InvalidState, match=r"a\.log changed while it was uploaded"):
            objects.describe_all([("a.log", source)], objects.one_by_one)


def test_a_name_that_is_too_long_here_is_refused_before_anything_is_written(
    client: MlflowClient, run_id: str, folder: Path, tmp_path: Path
) -> None:
    (folder / "a").write_text("a")
    client.log_artifacts(run_id, folder)
    client.log_text(run_id, "a", "b")
    long = "é" * 200  # 400 bytes: a name for macOS only
    files = [objects.File(name, "0" * 64, ()) for name in ("a", long)]
    with pytest.raises(InvalidState, match=rf"{long}' cannot be written here: a name has 400"):
        local_names.check(tmp_path / "out", [file.path for file in files])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("..\\x", "must not contain '\\\\\\\\'"),
        ("C:x", "must not contain ':'"),
        ("a\x1f", "must not contain"),
        ("trailing ", "must not end with"),
        ("trailing.", "must not end with"),
        ("con", "name of a device"),
        ("NUL.tar.gz", "name of a device"),
        ("lpt¹", "name of a device"),
        ("console.log", ""),
        ("é %2e", ""),
    ],
)
def test_names_that_windows_cannot_hold_are_known(name: str, problem: str) -> None:
    found = local_names.windows_problem(name)
    assert problem.replace("\\\\\\\\", "\\\\") in found
    assert bool(found) == bool(problem)


def test_names_that_differ_by_case_or_normalization_are_asked_of_the_file_system(
    folder: Path,
) -> None:
    forms = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    local_names.check(folder, ["A/x", "a/x", *forms])  # two files each, on Linux
    assert list(folder.iterdir()) == []


def test_a_name_that_this_machine_cannot_write_is_refused_before_anything_is_logged(
    client: MlflowClient, run_id: str
) -> None:
    for name in ("x" * 256, "notes/" + "é" * 200):
        with pytest.raises(InvalidParameter, match="at most 255 are possible here"):
            client.log_text(run_id, "text", name)
    assert client.list_artifacts(run_id) == []


def test_a_path_that_is_not_unicode_is_refused_by_every_reader(run_id: str) -> None:
    uri = f"runs:/{run_id}/name\udce9"
    readers: list[Callable[[str], object]] = [
        artifacts.download_artifacts,
        artifacts.list_artifacts,
        artifacts.load_text,
        operations.fetch_model,
    ]
    for read in readers:
        with pytest.raises(InvalidParameter, match="Unicode"):
            read(uri)
