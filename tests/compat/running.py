"""The real client's processes: their environment, and how they ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compat import environments
from up_process import environment

TIMEOUT_S = 280


def variables(tracking_uri: str, **more: str) -> dict[str, str]:
    """Return the environment of a process that works with the server at this address."""
    quiet = {
        "DO_NOT_TRACK": "true",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # Where a model is logged without requirements, MLflow loads it in another process to see
        # what it imports, and writes down its defaults if that takes longer than this.
        "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "1",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "PYTHONPATH": str(Path(__file__).parents[1]),
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
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    mlflow = environments.python(version).with_name("mlflow")
    command = [str(mlflow), "models", "serve", "-m", model_uri, "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--env-manager", "local"],
        env=env | {"PATH": f"{mlflow.parent}{os.pathsep}{env['PATH']}"},
        cwd=cwd,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # it starts others, which end with it
    )
    assert process.stderr is not None
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if "running on http" in line:
                break
        else:
            raise AssertionError("".join(said))
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
