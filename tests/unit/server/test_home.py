"""What a folder must be to be a home, and how its holder keeps it from others."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import pytest

from modelyard_kit.errors import InvalidArgument
from modelyard_server.processes import up
from modelyard_server.processes.home import Home, url_secret


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as `mkdir` makes it, with something of others in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "thesis.txt").touch()
    return folder


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(InvalidArgument) as refused:
        Home(file)
    assert refused.value.message == f"{file} cannot be used as a home: File exists."


def test_a_home_that_is_a_file_is_refused_in_the_background_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()

    assert up.run(["--home", str(file), "--background"]) == 1
    assert capsys.readouterr() == (
        "",
        f"modelyard up: {file} cannot be used as a home: {file}: File exists.\n",
    )


def test_a_folder_of_other_things_that_others_may_read_is_refused_as_it_is(folder: Path) -> None:
    with pytest.raises(InvalidArgument) as refused:
        Home(folder)

    assert refused.value.message.startswith(
        f"{folder} cannot be used as a home: it holds other files, and other users may "
    )
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_folder_of_other_things_that_only_its_owner_reads_is_a_home(folder: Path) -> None:
    folder.chmod(0o700)
    with closing(Home(folder)) as home:
        assert home.path == folder


def test_only_its_owner_can_read_what_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "home"
    with closing(Home(path)) as home:
        url_secret(home.path, token=None)
        home.publish("1", "http://127.0.0.1:5000", "127.0.0.1:50051", home.socket())
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in [path, *path.iterdir()]}

    assert modes == {
        "home": 0o700,
        "instance.json": 0o600,
        "instance.lock": 0o600,
        "url-secret": 0o600,
    }


@pytest.mark.parametrize("name", ["deep" * 30, "a ?b#%20 é"])
def test_where_a_path_does_not_do_for_a_socket_it_is_elsewhere(tmp_path: Path, name: str) -> None:
    with closing(Home(tmp_path / name)) as home:
        path = home.socket()

        assert not path.is_relative_to(home.path)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()
