"""What `modelyard up` says to a wrong setting or home: one line, and an exit code."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.processes.in_process import a_start_undone

from modelyard_server.admin import migrate
from modelyard_server.processes import up

RUN: dict[str, Callable[[list[str]], int]] = {"up": up.run, "migrate": migrate.run}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    with a_start_undone(monkeypatch, home):
        yield


def refused(capsys: pytest.CaptureFixture[str], word: str, *arguments: str) -> str:
    """Run a command that must refuse; return the one line it says."""
    assert RUN[word](list(arguments)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1, said.err
    return said.err.strip()


@pytest.mark.parametrize("option", ["--port", "--grpc-port"])
def test_a_taken_port_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    other = {"--port": "--grpc-port", "--grpc-port": "--port"}[option]

    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        said = refused(capsys, "up", option, str(taken), other, "0")

    assert said.startswith(f"modelyard up: Cannot listen on 127.0.0.1:{taken}: it is in use")


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["--host", "0.0.0.0"], {}, "Refusing to listen on 0.0.0.0:0 without authentication"),
        (["--host", "::"], {}, "Refusing to listen on [::]:0 without authentication"),
        (["--host", "nowhere.invalid"], {}, "Refusing to listen on nowhere.invalid:0"),
        (["--port", "65536"], {}, "Invalid MODELYARD_PORT 65536: expected 0 to 65535."),
        ([], {"MODELYARD_GRPC_PORT": "-1"}, "Invalid MODELYARD_GRPC_PORT -1: expected 0 to 65535."),
        ([], {"MODELYARD_MAX_UPLOAD_BYTES": "0"}, "Invalid MODELYARD_MAX_UPLOAD_BYTES 0: expected"),
        ([], {"MODELYARD_PORT": "http"}, "MODELYARD_PORT must be of type int, got 'http'."),
        (
            [],
            {"MODELYARD_HOEM": "/x"},
            "Unknown setting MODELYARD_HOEM; similar are MODELYARD_HOME",
        ),
        ([], {"MODELYARD_LOG_LEVEL": "loud"}, "Invalid MODELYARD_LOG_LEVEL 'loud': expected"),
        ([], {"MODELYARD_TOKEN_FILE": "/nowhere"}, "The token file cannot be read: No such file"),
    ],
)
def test_a_wrong_setting_is_refused(
    arguments: list[str],
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert refused(capsys, "up", "--port", "0", *arguments).startswith(f"modelyard up: {said}")


@pytest.mark.parametrize("word", ["up", "migrate"])
def test_a_damaged_database_is_refused(
    home: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir(mode=0o700)
    (home / "tracking.db").write_bytes(b"not a database" * 1000)

    assert refused(capsys, word).startswith(
        f"modelyard {word}: The database tracking.db cannot be used: file is not a database."
    )


def test_a_database_from_a_newer_version_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert migrate.run([]) == 0
    capsys.readouterr()
    with closing(sqlite3.connect(home / "registry.db")) as connection, connection:
        connection.execute("UPDATE registry_version SET version_num = '0999'")

    assert refused(capsys, "up", "--port", "0", "--grpc-port", "0").startswith(
        "modelyard up: The registry database is at revision 0999, which this version does not know"
    )


@pytest.mark.parametrize("name", ["objects", "instance.lock", "url-secret"])
def test_something_else_in_the_place_of_its_files_is_refused_by_name(
    home: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir(mode=0o700)
    if name == "objects":
        (home / name).touch()
    else:
        (home / name).mkdir()

    said = refused(capsys, "up", "--port", "0", "--grpc-port", "0")

    what = f"The folder of artifacts '{home}/objects' cannot be used: "
    asked = what if name == "objects" else f"{home} cannot be used as a home: "
    assert said.startswith(f"modelyard up: {asked}")
