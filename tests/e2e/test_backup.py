"""A backup of a running platform comes back elsewhere, whole or not at all."""

import gzip
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases.backups import back_up, is_refused
from tests.support.platforms.filled_home import Platform, running
from tests.support.stores.s3_servers import S3Server

from modelyard.api.registry.v1 import registry_pb2
from modelyard_kit.artifacts import Digest
from modelyard_kit.db.migrations import current
from modelyard_kit.db.open import open_database
from modelyard_server.admin import backup, gc, restore
from modelyard_server.admin.backups import contents, objects
from modelyard_server.admin.backups.contents import Contents, TableFile
from modelyard_server.admin.backups.rows import read_rows, write_rows
from modelyard_server.processes.databases import MIGRATIONS_BY_SERVICE


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a backup that tests only read."""
    return back_up(tmp_path_factory.mktemp("backed-up"))


@pytest.fixture
def copied(backed_up: Path, tmp_path: Path) -> Path:
    """A copy of the backup that a test may damage."""
    folder = tmp_path / "backup"
    for path in backed_up.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(backed_up)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


def test_a_backup_under_load_has_what_was_acknowledged_before(tmp_path: Path) -> None:
    stop, failed = threading.Event(), list[BaseException]()

    def go_on(platform: Platform) -> None:
        try:
            number = 100
            while not stop.is_set():
                platform.register(platform.log_run(number))
                number += 1
        except BaseException as error:  # noqa: BLE001 - raised again by the test
            failed.append(error)

    with running(tmp_path / "home") as platform:
        platform.fill()
        before = platform.versions()
        writer = threading.Thread(target=go_on, args=(platform,))
        writer.start()
        code = backup.run([str(tmp_path / "backup"), "--home", str(platform.home)])
        stop.set()
        writer.join()
    assert (code, failed) == (0, [])
    target = tmp_path / "elsewhere"
    assert restore.run([str(tmp_path / "backup"), "--home", str(target), "--verify"]) == 0
    with running(target) as platform:
        assert before.items() <= platform.versions().items()
        numbers = sorted(int(v.partition("/")[2]) for v in platform.versions() if "iris" in v)
        assert numbers == list(range(2, numbers[-1] + 1))
        for number in numbers:
            uri = f"models:/iris/{number}"
            resolved = platform.registry.ResolveModel(registry_pb2.ResolveModelRequest(uri=uri))
            assert b"weights" in resolved.manifest
        assert platform.register(platform.log_run(0)) == str(numbers[-1] + 1)


def test_objects_kept_apart_are_copied_once(tmp_path: Path) -> None:
    shared = tmp_path / "objects"
    with running(tmp_path / "home") as platform:
        platform.fill()
        home = ["--home", str(platform.home), "--objects", str(shared)]
        assert backup.run([str(tmp_path / "monday"), *home]) == 0
        first = {path: path.stat().st_ino for path in shared.rglob("*") if path.is_file()}
        platform.log_run(77)
        assert backup.run([str(tmp_path / "tuesday"), *home]) == 0
    second = {path: path.stat().st_ino for path in shared.rglob("*") if path.is_file()}
    assert first.items() < second.items()
    for day in ("monday", "tuesday"):
        flags = ["--home", str(tmp_path / f"of-{day}"), "--objects", str(shared)]
        assert restore.run([str(tmp_path / day), *flags]) == 0


def test_objects_that_are_left_out_must_be_in_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path / "home") as platform:
        platform.fill()
        argv = [str(tmp_path / "backup"), "--home", str(platform.home), "--no-objects"]
        assert backup.run(argv) == 0
    assert not (tmp_path / "backup" / "objects").exists()
    argv = [str(tmp_path / "backup"), "--home", str(tmp_path / "new")]
    assert "missing from the store" in is_refused(capsys, restore.run, argv)
    argv += ["--objects", str(tmp_path / "home" / "objects")]
    assert restore.run(argv) == 0


def test_nothing_is_overwritten(
    backed_up: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore.run([str(backed_up), "--home", str(tmp_path / "home")]) == 0
    again = is_refused(capsys, restore.run, [str(backed_up), "--home", str(tmp_path / "home")])
    assert "not empty: it is at revision" in again
    argv = [str(backed_up), "--home", str(tmp_path / "home")]
    assert "is not empty" in is_refused(capsys, backup.run, argv)
    with running(tmp_path / "home") as platform:
        said = is_refused(capsys, restore.run, [str(backed_up), "--home", str(platform.home)])
        assert "is in use" in said


def test_there_must_be_something_to_back_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [str(tmp_path / "backup"), "--home", str(tmp_path / "nothing")]
    assert "does not exist" in is_refused(capsys, backup.run, argv)
    assert "holds no complete backup" in is_refused(capsys, restore.run, [str(tmp_path / "backup")])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [_cut, _flip, _remove])
@pytest.mark.parametrize(
    "what", ["backup.json", "registry/event.jsonl.gz", "tracking/param.jsonl.gz", "object"]
)
def test_a_damaged_backup_is_refused_and_nothing_is_written(
    copied: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    what: str,
) -> None:
    files = [path for path in (copied / "objects").rglob("*") if path.is_file()]
    damaged = min(files) if what == "object" else copied / what
    damage(damaged)
    home = tmp_path / "home"
    said = is_refused(capsys, restore.run, [str(copied), "--home", str(home)])
    assert (damaged.name if what == "object" else what) in said
    for area, tree in MIGRATIONS_BY_SERVICE.items():
        database = open_database(f"sqlite:///{home}/{area}.db")
        assert current(database, tree) is None
        database.close()


def _rewritten(folder: Path, table: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change rows of the registry in a backup, whose hashes fit again."""
    found = contents.read(folder)
    dump = found.services["registry"]
    file = dump.tables[table]
    rows = [
        dict(zip(file.columns, row, strict=True))
        for row in read_rows(folder / file.file, file.rows)
    ]
    for row in rows:
        change(row)
    (folder / file.file).unlink()
    count, sha256 = write_rows(folder / file.file, [list(row.values()) for row in rows])
    tables = {**dump.tables, table: TableFile(file.file, file.columns, count, sha256)}
    services = {**found.services, "registry": type(dump)(dump.revision, tables)}
    contents.write(
        folder,
        Contents(found.modelyard, found.began, services, found.objects, found.objects_bytes),
    )


def test_a_forged_history_is_refused(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def blame(row: dict[str, Any]) -> None:
        row["actor"] = "somebody else"

    _rewritten(copied, "event", blame)
    said = is_refused(capsys, restore.run, [str(copied), "--home", str(tmp_path / "home")])
    assert "does not verify" in said
    database = open_database(f"sqlite:///{tmp_path}/home/registry.db")
    assert current(database, MIGRATIONS_BY_SERVICE["registry"]) is None
    database.close()


def test_a_backup_of_a_newer_version_is_refused(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = contents.read(copied)
    newer = {area: type(dump)("9999", dump.tables) for area, dump in found.services.items()}
    contents.write(copied, Contents("9.9", found.began, newer, None, None))
    said = is_refused(capsys, restore.run, [str(copied), "--home", str(tmp_path / "home")])
    assert "9999, which this version does not know" in said


def test_rows_are_readable_by_people(backed_up: Path) -> None:
    document = json.loads((backed_up / "backup.json").read_text())
    version = document["services"]["registry"]["tables"]["model_version"]
    with gzip.open(backed_up / version["file"], "rt", encoding="utf-8") as file:
        first = dict(zip(version["columns"], json.loads(file.readline()), strict=True))
    assert (first["name"], first["version"]) == ("iris", 2)


def test_objects_go_into_s3_and_out_of_it(
    backed_up: Path,
    tmp_path: Path,
    seaweedfs: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODELYARD_ARTIFACTS", f"s3://{seaweedfs.make_bucket()}/models")
    monkeypatch.setenv("MODELYARD_S3_ENDPOINT", seaweedfs.endpoint)
    home = ["--home", str(tmp_path / "home")]
    assert restore.run([str(backed_up), *home]) == 0
    assert not (tmp_path / "home" / "objects").exists()
    assert backup.run([str(tmp_path / "again"), *home]) == 0
    needed = objects.needed(
        backed_up, contents.read(backed_up), objects.open_folder(backed_up / "objects")
    )
    again = {path.name for path in (tmp_path / "again/objects").rglob("*") if path.is_file()}
    assert again == set(needed)
    monkeypatch.setenv("MODELYARD_ARTIFACTS", f"s3://{seaweedfs.make_bucket()}")
    bare = [str(tmp_path / "bare"), *home, "--no-objects"]
    assert backup.run(bare) == 0
    said = is_refused(
        capsys, restore.run, [str(tmp_path / "bare"), "--home", str(tmp_path / "other")]
    )
    assert "missing" in said


def test_what_is_swept_while_objects_are_copied_is_in_the_backup(tmp_path: Path) -> None:
    """The first round of copying comes before the databases, the second after."""
    with running(tmp_path / "home") as platform:
        platform.fill()
        store = objects.open_folder(platform.home / "objects")
        target = objects.open_folder(tmp_path / "objects")
        objects.copy_all(store, target)
        before = {found.digest for found in store.list_objects()}
        for digest in before:
            store.delete(digest)
        argv = [str(tmp_path / "backup"), "--home", str(platform.home)]
        assert backup.run([*argv, "--objects", str(tmp_path / "objects")]) == 0


def test_an_object_that_the_store_lost_fails_the_backup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path / "home") as platform:
        platform.fill()
        lost = min(objects.open_folder(platform.home / "objects").list_objects(), key=str).digest
        objects.open_folder(platform.home / "objects").delete(lost)
        argv = [str(tmp_path / "backup"), "--home", str(platform.home)]
        assert lost in is_refused(capsys, backup.run, argv)
    assert "holds no complete backup" in is_refused(capsys, restore.run, [str(tmp_path / "backup")])


def test_gc_says_what_it_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MODELYARD_TOKEN", raising=False)
    with running(tmp_path / "home") as platform:
        platform.fill()
        digest = Digest.of(b"stray")
        store = objects.open_folder(platform.home / "objects")
        store.put(digest, [b"stray"], 5)
        two_days_ago = time.time() - 2 * 24 * 60 * 60
        os.utime(platform.home / "objects" / digest.key, (two_days_ago, two_days_ago))
        monkeypatch.setenv("MODELYARD_TRACKING_URI", platform.http)
        assert gc.run(["--dry-run"]) == 0
        assert "1 unused objects would be removed, 5 bytes in all" in capsys.readouterr().out
        assert gc.run(["--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["objects"], report["bytes"], report["dry_run"]) == (1, 5, False)
        assert store.size_bytes(digest) is None
    monkeypatch.setenv("MODELYARD_TRACKING_URI", "http://127.0.0.1:1")
    assert "cannot be reached" in is_refused(capsys, gc.run, [])
