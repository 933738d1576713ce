"""A real `mlflow server` to compare with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from up_process import environment

VERSION = "3.17"
_READY = ("Application startup complete", "Booting worker")  # of MLflow 3, of MLflow 2
_STOP_TIMEOUT_S = 30


@contextmanager
def mlflow_server(python: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Run MLflow's server on a fresh database in a folder and yield its address.

    Args:
        python: Of the environment that holds MLflow.
        folder: An empty one.
    """
    port = _free_port()
    words = ("server", "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination")
    command = [python, "-m", "mlflow", *words, "artifacts", "--workers", "1"]
    settings = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # Its log says when it is ready, and is read to the end.
        "PYTHONUNBUFFERED": "1",
    }
    process = subprocess.Popen(
        [*map(str, command), "--host", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    reader = threading.Thread(target=_drain, args=(process,))
    try:
        _wait_until_ready(process)
        reader.start()
        yield "127.0.0.1", port
    finally:
        # It starts a process of its own for the server.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_TIMEOUT_S)
        if reader.is_alive():
            reader.join()
        assert process.stdout is not None
        process.stdout.close()


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if any(ready in line for ready in _READY):
            return
    raise AssertionError(f"The server of MLflow ended:\n{''.join(said)}")


def _drain(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for _ in process.stdout:
        pass


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
