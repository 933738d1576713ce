"""The wheel of this repository, and commands run as its users run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.processes.up_process import environment

ROOT = Path(__file__).parents[3]
UV = ROOT / ".cache" / "installer" / "bin" / "uv"
"""`make install` sets it up."""


def build_wheel(folder: Path) -> Path:
    """Build the wheel into a folder and return its path."""
    succeed(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def installed_in(folder: Path, *requirements: str | Path) -> Path:
    """Make a folder an environment with requirements alone, and return its interpreter."""
    python, cache = folder / "bin" / "python", {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv")}
    succeed(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder, **cache)
    succeed(UV, "pip", "install", "--quiet", "--python", python, *requirements, **cache)
    return python


def succeed(*command: str | Path, **variables: str) -> str:
    """Run a command in the repository, without settings of ours, and return its output.

    Raises:
        AssertionError: It failed.
    """
    done = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
