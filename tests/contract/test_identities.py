"""Backups, `migrate --adopt` and `doctor` keep, change and show the identity of an installation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes.in_process import a_start_undone, start_once

from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.artifacts.marks import INSTALLATION
from modelyard_server.admin import backup, doctor, migrate, restore
from modelyard_server.admin.installation import no_urls


@pytest.fixture
def home(used_home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(used_home, tmp_path / "home")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    with a_start_undone(monkeypatch, home):
        yield


def store_id(home: Path) -> str | None:
    return LocalStore(home / "objects", no_urls()).mark(INSTALLATION)


def diagnosed(capsys: pytest.CaptureFixture[str], home: Path) -> dict[str, tuple[str, str, str]]:
    """Return state, summary and remedy of the checks of databases and identity."""
    capsys.readouterr()
    doctor.run(["--json", "--home", str(home)])
    found = json.loads(capsys.readouterr().out)
    return {item["check"]: (item["state"], item["summary"], item["remedy"]) for item in found}


def test_a_backup_carries_the_id_to_a_new_home(home: Path, tmp_path: Path) -> None:
    assert backup.run([str(tmp_path / "backup")]) == 0
    new = tmp_path / "new"
    assert restore.run([str(tmp_path / "backup"), "--home", str(new)]) == 0
    assert store_id(new) == store_id(home)
    start_once(new)
    assert (new / INSTALLATION).read_text() == store_id(home)


def test_a_backup_is_restored_beside_its_own_store_and_not_beside_another(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert backup.run([str(tmp_path / "backup")]) == 0
    monkeypatch.setenv("MODELYARD_ARTIFACTS", str(home / "objects"))
    assert restore.run([str(tmp_path / "backup"), "--home", str(tmp_path / "own")]) == 0
    LocalStore(tmp_path / "foreign", no_urls()).set_mark(INSTALLATION, "0" * 32)
    monkeypatch.setenv("MODELYARD_ARTIFACTS", str(tmp_path / "foreign"))
    capsys.readouterr()
    assert restore.run([str(tmp_path / "backup"), "--home", str(tmp_path / "refused")]) == 1
    said = capsys.readouterr().err
    assert "The artifact store belongs to the installation 00000000…, the backup of" in said
    assert "nothing was restored" in said


def test_an_operator_can_join_parts_that_differ(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = store_id(home)
    shutil.rmtree(home / "objects")
    (home / "registry.db").unlink()
    state, summary, remedy = diagnosed(capsys, home)["identity"]
    assert state == "fail"
    assert summary.startswith("The artifact store belongs to the installation none, the home ")
    assert "modelyard migrate --adopt" in remedy
    assert diagnosed(capsys, home)["database of registry"][0] == "fail"
    assert migrate.run(["--adopt"]) == 0
    assert store_id(home) == old
    start_once(home)
    assert diagnosed(capsys, home)["identity"][0] == "ok"


def test_parts_of_two_installations_get_a_new_id(home: Path) -> None:
    old = store_id(home)
    LocalStore(home / "objects", no_urls()).set_mark(INSTALLATION, "0" * 32, replace=True)
    assert migrate.run(["--adopt"]) == 0
    assert store_id(home) not in {old, "0" * 32}
    start_once(home)


def test_damage_is_named_with_the_way_back(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (home / "tracking.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 4096)
    state, summary, remedy = diagnosed(capsys, home)["database of tracking"]
    assert state == "fail"
    assert "malformed" in summary
    assert "modelyard restore BACKUP --home NEW" in remedy
    assert diagnosed(capsys, home)["database of registry"][0] == "ok"
