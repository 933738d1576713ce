"""Processes of the real client and of servers: their environment, start and end."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compat import environments
from tests.support.processes.ports import free_port
from tests.support.processes.up_process import environment

TIMEOUT_S = 280
_HERE = Path(__file__).parent


def variables(tracking_uri: str, **more: str) -> dict[str, str]:
    """Return the environment of a process that works with the server at this address."""
    quiet = {
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # To infer the requirements of a model, MLflow loads it in another process; it uses its
        # defaults if that exceeds this timeout, as it always does with 0.
        "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "0",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "PYTHONPATH": os.pathsep.join(map(str, (_HERE / "without_collections", _HERE.parents[1]))),
    }
    return environment(MLFLOW_TRACKING_URI=tracking_uri, **quiet, **more)


def run(version: str, *arguments: str | Path, env: dict[str, str], cwd: Path) -> str:
    """Run Python with this MLflow to its end and return what it printed."""
    command = [environments.python(version), *arguments]
    process = subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@contextmanager
def models_serve(version: str, model_uri: str, *, env: dict[str, str], cwd: Path) -> Iterator[int]:
    """Run `mlflow models serve`; yield its port once it answers."""
    port = free_port()
    mlflow = environments.python(version).with_name("mlflow")
    command = [str(mlflow), "models", "serve", "-m", model_uri, "--port", str(port)]
    path = {"PATH": f"{mlflow.parent}{os.pathsep}{env['PATH']}"}
    with server([*command, "--env-manager", "local"], ("running on http",), env | path, cwd):
        yield port


@contextmanager
def server(
    command: list[str], ready: tuple[str, ...], env: dict[str, str], cwd: Path
) -> Iterator[None]:
    """Run a server and its children; yield after it has printed one of the `ready` texts."""
    process = subprocess.Popen(
        command,
        env=env | {"PYTHONUNBUFFERED": "1"},
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # its children are ended with it
    )
    reader = threading.Thread(target=_drain, args=(process,))
    try:
        _wait_until_ready(process, ready)
        reader.start()
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if reader.is_alive():
            reader.join()
        assert process.stdout is not None
        process.stdout.close()


def _wait_until_ready(process: subprocess.Popen[str], ready: tuple[str, ...]) -> None:
    assert process.stdout is not None
    output: list[str] = []
    for line in process.stdout:
        output.append(line)
        if any(words in line for words in ready):
            return
    raise AssertionError(f"The server ended:\n{''.join(output)}")


def _drain(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for _ in process.stdout:
        pass
