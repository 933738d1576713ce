"""Errors of `modelyard models serve` for wrong arguments, and what it does not import."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.processes.in_process import a_start_undone
from tests.support.processes.up_process import environment

from modelyard_server.processes import models_serve

PRODUCTION = "models:/iris_classifier/Production"


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["-m", "iris"], {}, "'iris' is not a model URI; use models:/name/Production"),
        (["-m", PRODUCTION, "--port", "70000"], {}, "'70000' is not a port"),
        (["-m", PRODUCTION, "--host", "0.0.0.0"], {}, "MODELYARD_TOKEN_FILE"),
        (["-m", PRODUCTION], {"MODELYARD_SERVING_TIMEOUT_S": "soon"}, "must be of type float"),
        (["-m", PRODUCTION], {"MODELYARD_SERVING_TIMEOUT": "5"}, "Unknown setting"),
        (["-m", PRODUCTION], {"MODELYARD_SERVING_MAX_BODY_BYTES": "0"}, "expected 1 to"),
        (["-m", PRODUCTION], {"MODELYARD_SERVING_TIMEOUT_S": "inf"}, "expected 0.001 to 3600"),
        (["-m", PRODUCTION], {"MODELYARD_LOG_LEVLE": "INFO"}, "Unknown setting MODELYARD_LOG_LEV"),
        (["-m", PRODUCTION, "--log-level", "LOUD"], {}, "Invalid MODELYARD_LOG_LEVEL 'LOUD'"),
        (["-m", PRODUCTION], {"MODELYARD_TOKEN_FILE": "/nowhere"}, "token file cannot be read"),
    ],
)
def test_a_wrong_argument_or_setting_is_one_line_and_code_2(
    arguments: list[str], variables: dict[str, str], message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "modelyard", "models", "serve", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(**variables),
        timeout=60,
    )

    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "arguments", "message"),
    [
        ({"TOKEN": "a"}, ["--host", "0.0.0.0"], "MODELYARD_TOKEN must have at least 16 printable"),
        ({"TOKEN": "a" * 15}, [], "MODELYARD_TOKEN must have at least 16 printable ASCII"),
        ({"TOKEN": "ä" * 20}, [], "MODELYARD_TOKEN must have at least 16 printable ASCII"),
        ({"REGISTRY_URI": "https://x:a@host"}, [], "The token in the registry's URI must have"),
        ({}, ["--monitoring", "0.0.0.0:0"], "Refusing to listen on 0.0.0.0:0 without"),
    ],
)
def test_a_weak_token_or_an_open_port_is_refused(
    variables: dict[str, str],
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with a_start_undone(monkeypatch, tmp_path):
        for name, value in variables.items():
            monkeypatch.setenv(f"MODELYARD_{name}", value)
        assert models_serve.run(["-m", PRODUCTION, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_taken_port_is_one_line_and_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = str(holder.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "modelyard", "models", "serve", "-m", PRODUCTION, "-p", taken],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
            timeout=60,
        )

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{taken}" in done.stderr


def test_the_endpoint_imports_no_numerics() -> None:
    program = (
        "import sys, modelyard_server.processes.models_serve, modelyard_serving.app\n"
        "heavy = {'numpy', 'pandas', 'sklearn', 'scipy', 'skops'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
