"""The real client's processes: their environment, and how they ended."""

from __future__ import annotations

import subprocess
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
