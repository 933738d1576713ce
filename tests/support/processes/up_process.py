"""`modelyard up` as a process of its own, for tests."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STOP_TIMEOUT_S = 60


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without our settings, with the given ones added."""
    # The last one is removed, so that processes reuse the bytecode compiled by others.
    left_out = ("MODELYARD_", "MLFLOW_", "PYTHONDONTWRITEBYTECODE")
    return {k: v for k, v in os.environ.items() if not k.startswith(left_out)} | variables


def command(*arguments: str | Path, python: Sequence[str] = ()) -> list[str]:
    return [sys.executable, *python, "-m", "modelyard_server", *map(str, arguments)]


@dataclass
class Up:
    process: subprocess.Popen[str]
    ready_line: str
    home: Path

    @property
    def instance(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "instance.json").read_text())
        return found

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.instance["http"].removeprefix("http://").rpartition(":")
        return host, int(port)

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask("GET", path, b"")

    def put(self, path: str, body: bytes) -> tuple[int, bytes]:
        return self._ask("PUT", path, body)

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.request(method, path, body)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT_S)


@contextmanager
def up(home: Path, *arguments: str | Path, **variables: str) -> Iterator[Up]:
    """Run `modelyard up` on free ports; the process is killed at the end if it still runs."""
    words = ("up", "--home", home, "--port", "0", "--grpc-port", "0", *arguments)
    process = subprocess.Popen(
        command(*words), stdout=subprocess.PIPE, text=True, env=environment(**variables)
    )
    try:
        assert process.stdout is not None
        ready_line = process.stdout.readline()
        assert ready_line, f"it ended with code {process.wait()}"
        yield Up(process, ready_line, home)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
