"""A real `mlflow server` to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.compat import running
from tests.support.processes.ports import free_port
from tests.support.processes.up_process import environment

VERSION = "3.17"
_READY = ("Application startup complete", "Booting worker")  # of MLflow 3, of MLflow 2


@contextmanager
def mlflow_server(python: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """Run MLflow's server on a fresh database in a folder and yield its address.

    Args:
        python: Interpreter of the environment with MLflow.
        folder: Empty folder.
    """
    port = free_port()
    words = ("server", "--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination")
    command = [str(python), "-m", "mlflow", *words, "artifacts", "--workers", "1"]
    env = environment(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    address = ("--host", "127.0.0.1", "--port", str(port))
    with running.server([*command, *address], _READY, env, folder):
        yield "127.0.0.1", port
