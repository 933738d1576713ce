"""Ctrl-C at a command that is importing its modules, or waiting for a server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.processes.up_process import environment

INTERRUPTED = 128 + signal.SIGINT
FIRST_IMPORTS = ("modelyard._environment", "modelyard.api.artifacts.v1")
"""The first modules that are imported, of the SDK and of `modelyard gc`."""

Process = subprocess.Popen[str]


@contextmanager
def started(home: Path, *words: str, uri: str, importtime: bool = False) -> Iterator[Process]:
    options = ["-X", "importtime"] if importtime else []
    with subprocess.Popen(
        [sys.executable, *options, "-m", "modelyard_server.command", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(MODELYARD_HOME=str(home), MODELYARD_TRACKING_URI=uri),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(60)
        yield server


def port(server: socket.socket) -> int:
    number: int = server.getsockname()[1]
    return number


def interrupted(process: Process) -> str:
    """Send Ctrl-C; return what the command writes to stderr after that."""
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    return err


@pytest.mark.parametrize("words", ["gc", "import mlflow --from http://127.0.0.1:{port}"])
def test_a_command_that_waits_for_a_server_ends_silently(
    words: str, silent: socket.socket, tmp_path: Path
) -> None:
    uri = f"http://127.0.0.1:{port(silent)}"
    arguments = words.format(port=port(silent)).split()
    with started(tmp_path, *arguments, uri=uri) as process, closing(silent.accept()[0]):
        assert interrupted(process) == ""


@pytest.mark.parametrize("module", FIRST_IMPORTS)
def test_a_command_that_imports_its_modules_ends_silently(
    module: str, silent: socket.socket, tmp_path: Path
) -> None:
    uri = f"grpc://127.0.0.1:{port(silent)}"
    with started(tmp_path, "gc", uri=uri, importtime=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.endswith(f" {module}\n"):
                break
        assert "Traceback" not in interrupted(process)
