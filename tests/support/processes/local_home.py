"""Scripts in processes of their own, which start an instance in a local home."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes.up_process import environment

from modelyard.__main__ import main

TIMEOUT_S = 240


@dataclass(frozen=True)
class LocalHome:
    """A home and a cache for scripts to run on.

    Attributes:
        folder: Folder of the home.
        environment: Environment of a process that uses the home, without other settings of ours.
    """

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start Python; warnings are errors."""
        command = [sys.executable, "-W", "error", *map(str, arguments)]
        return subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str | Path) -> str:
        """Run Python to its end and return its output."""
        return ended(self.start(*arguments))[0]


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for a process, which must succeed; return its stdout and stderr."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    return out, err


@contextmanager
def local_home(folder: Path, **variables: str) -> Iterator[LocalHome]:
    """Yield a new home; an instance in it is stopped at the end."""
    home = folder / "home"
    settings = {"MODELYARD_HOME": str(home), "MODELYARD_CACHE": str(folder / "cache")}
    try:
        yield LocalHome(home, environment(**settings, **variables))
    finally:
        assert main(["down", "--home", str(home)]) == 0
