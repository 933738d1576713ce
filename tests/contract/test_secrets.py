"""Secrets in the settings of services and commands are in nothing that these print."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes.in_process import a_start_undone

from modelyard.__main__ import main
from modelyard_kit.observability import logs
from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded

SECRET = "s3cr3t"
USER = f"ada:{SECRET}"
CLOSED = "127.0.0.1:1"  # fixed, as it is in the names of tests


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    with a_start_undone(monkeypatch, tmp_path / "home"):
        yield


@pytest.mark.parametrize(
    "words",
    [
        f"doctor --tracking-uri http://{USER}@{CLOSED}",
        f"doctor --tracking-uri http://ada:1/{SECRET}@{CLOSED} --json",
        f"doctor --tracking-database-url postgresql://{USER}@{CLOSED}/x",
        f"backup TMP/backup --registry-database-url postgresql://host:1/{SECRET}@host/x",
        f"migrate --tracking-database-url postgresql://{USER}@{CLOSED}/x?passwort={SECRET}",
        f"migrate --tracking-database-url postgresql://ada:1/{SECRET}@{CLOSED}/x",
        f"migrate --tracking-database-url postgresql://ada:x/{SECRET}@{CLOSED}/x",
        f"migrate --tracking-database-url postgresql://{CLOSED}/x?user=ada&password={SECRET}",
        f"tracking --artifacts s3://key:{SECRET}@bucket",
        f"tracking --artifacts s3://key:x/{SECRET}@bucket",
        f"tracking --artifacts gs://key:x/{SECRET}@bucket",
        f"tracking --artifacts s3://bucket --s3-endpoint http://{USER}@{CLOSED}",
        f"tracking --artifacts s3://bucket --s3-endpoint http://{CLOSED}/?secret={SECRET}",
        f"tracking --public-url http://ada:x/{SECRET}@host",
        f"tracking --registry-target http://{USER}@{CLOSED}",
        f"tracking --listen {USER}@host",
        f"gateway --tracking-public-target http://{USER}@{CLOSED}",
        f"http://{USER}@{CLOSED}",
        f"import http://{USER}@{CLOSED}",
        f"gc http://{USER}@{CLOSED}",
        f"tokens create --name x --role http://{USER}@{CLOSED}",
        f"doctor {USER}@{CLOSED}",
        f"run http://{USER}@{CLOSED}/script.py",
        f"run -m http://{USER}@{CLOSED}",
        f"import mlflow --from http://{USER}@{CLOSED}",
        f"import mlflow --from http://ada:x/{SECRET}@{CLOSED}",
        f"import mlflow --from ada:{SECRET}@{CLOSED}",
        f"import mlflow --from postgresql://{USER}@{CLOSED}/x",
        f"import mlflow --from postgresql://ada:x/{SECRET}@{CLOSED}/x",
        f"import mlflow --from postgresql://ada:1/{SECRET}@{CLOSED}/x",
        f"import mlflow --from sqlite:///nowhere.db --tracking-uri http://{USER}@{CLOSED}",
        f"export mlflow --to http://ada:x/{SECRET}@{CLOSED}",
    ],
)
def test_no_command_shows_a_secret(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(words.replace("TMP", str(tmp_path)).split())
    except SystemExit as ended:
        code = int(str(ended.code))
    said = capsys.readouterr()
    assert code in {1, 2}
    assert said.out + said.err
    assert "Traceback" not in said.err
    assert SECRET not in said.out + said.err


@pytest.mark.parametrize("variable", ["TRACKING_URI", "REGISTRY_URI"])
def test_no_command_shows_the_secret_of_a_variable(
    variable: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"MODELYARD_{variable}", f"grpc://ada:x/{SECRET}@{CLOSED}")
    for words in ("tokens list", "models serve -m models:/m/1"):
        assert main(words.split()) in {1, 2}
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert "***@" in said.err
        assert SECRET not in said.out + said.err


def test_a_command_works_with_the_credentials_of_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET} of the services")
    file.chmod(0o600)
    platform = Embedded(UpSettings(home=tmp_path / "up", port=0, grpc_port=0, token_file=file))
    try:
        uri = platform.http.replace("//", f"//{USER}%20of%20the%20services@")
        for name in ("PORT", "GRPC_PORT"):  # the doctor checks that they are free
            monkeypatch.setenv(f"MODELYARD_{name}", "0")
        assert main(["doctor", "--tracking-uri", uri, "--home", str(tmp_path / "none")]) == 0
        monkeypatch.setenv("MODELYARD_TRACKING_URI", uri)
        assert main(["tokens", "list"]) == 0
        described = (tmp_path / "up" / "instance.json").read_text()
    finally:
        platform.stop()
    said = capsys.readouterr()
    assert f"{platform.http.replace('//', '//***@')} answers" in said.out
    assert SECRET not in said.out + said.err + described


def test_the_address_that_a_library_logs_is_without_its_password() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    address = f"http://{USER}@h:4317/v1"
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "to %s failed", (address,), None)
    handler.emit(record)
    line = json.loads(stream.getvalue())
    assert line["message"] == "to http://***@h:4317/v1 failed"
