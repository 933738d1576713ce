"""`modelyard up` in a home whose files are missing, damaged or another's: one line, no start."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.processes.in_process import a_start_undone, start_once

from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.artifacts.marks import INSTALLATION, new_id
from modelyard_server.admin import migrate
from modelyard_server.admin.installation import no_urls
from modelyard_server.processes import up

PORTS = ["--port", "0", "--grpc-port", "0"]


@pytest.fixture
def home(used_home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(used_home, tmp_path / "home")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    with a_start_undone(monkeypatch, home):
        yield


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """Start the platform, which must refuse in one line; return the line."""
    assert up.run(PORTS) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1), said
    return said.err.removeprefix("modelyard up: ").strip()


def overwrite_a_page(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[8192:12288] = b"\xff" * 4096
    file.write_bytes(data)


def exchange(file: Path) -> None:
    other = file.with_name("registry.db")
    kept = file.read_bytes()
    file.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def of_another_application(file: Path) -> None:
    file.unlink()
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")


def in_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def test_a_home_is_started_again_and_so_is_a_copy_of_it(home: Path, tmp_path: Path) -> None:
    start_once(home)
    start_once(shutil.copytree(home, tmp_path / "copy"))


@pytest.mark.parametrize("area", ["tracking", "registry"])
@pytest.mark.parametrize("state", ["missing", "empty"])
def test_a_missing_database_is_not_replaced(
    home: Path, area: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / f"{area}.db"
    file.unlink() if state == "missing" else os.truncate(file, 0)
    said = refused(capsys)
    assert said.startswith(f"The database {file} is {state}, but the home has been used. Put")
    assert migrate.run(["--home", str(home)]) == 1
    capsys.readouterr()
    assert not file.exists() or not file.stat().st_size


@pytest.mark.parametrize("area", ["tracking", "registry"])
def test_a_database_missing_from_a_home_without_an_id_is_not_replaced(
    home: Path, area: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / INSTALLATION).unlink()
    shutil.rmtree(home / "objects")
    (home / f"{area}.db").unlink()
    assert f"{area}.db is missing, but the home has been used." in refused(capsys)


def test_a_home_that_lost_both_databases_is_not_taken_for_a_new_one(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for area in ("tracking", "registry"):
        (home / f"{area}.db").unlink()
    assert "tracking.db is missing" in refused(capsys)
    (home / INSTALLATION).unlink()
    assert "tracking database is new, but the artifact store has had" in refused(capsys)


def test_a_start_that_was_killed_before_its_tables_were_there_is_repeated(home: Path) -> None:
    shutil.rmtree(home)
    home.mkdir(mode=0o700)
    with closing(sqlite3.connect(home / "tracking.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    start_once(home)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: os.truncate(file, 5000), "database disk image is malformed"),
        (lambda file: os.truncate(file, 50), "database disk image is malformed"),
        (lambda file: file.write_bytes(b"\x01" * 20_000), "file is not a database"),
        (overwrite_a_page, "is damaged: "),
        (in_a_folder, "unable to open database file"),
        (of_another_application, "has tables of another service or application"),
        (exchange, "has tables of another service or application"),
    ],
)
def test_a_damaged_or_foreign_file_is_reported_in_one_line(
    home: Path,
    damage: Callable[[Path], object],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(home / "tracking.db")
    line = refused(capsys)
    assert said in line
    assert "tracking" in line


@pytest.mark.parametrize("found", [None, "1" * 32])
def test_databases_are_not_served_beside_another_store(
    home: Path, found: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(home / "objects")
    if found is not None:
        LocalStore(home / "objects", no_urls()).set_mark(INSTALLATION, found)
    said = refused(capsys)
    assert f"the artifact store to {'11111111…' if found else 'none'}" in said


def test_databases_of_two_installations_are_not_served_together(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start_once(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "registry.db", home / "registry.db")
    assert refused(capsys).startswith("The registry database belongs to the installation ")


def test_the_files_of_another_home_are_not_served(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / INSTALLATION).write_text(new_id())
    assert "belongs to the installation " in refused(capsys)
