"""Commands of servers in the test's own process, for errors before they serve."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from modelyard_kit.settings.table import UpSettings
from modelyard_server.processes.embedded import Embedded


@contextmanager
def a_start_undone(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    """Unset all settings but the home, and undo the effects of a start on the process."""
    for name in os.environ:
        if name.startswith(("MODELYARD_", "MLFLOW_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MODELYARD_HOME", str(home))
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield
    root.level, root.handlers = level, handlers
    signal.pthread_sigmask(signal.SIG_SETMASK, held)


def start_once(home: Path) -> None:
    """Start the platform in a home, on free ports, and stop it."""
    Embedded(UpSettings(home=home, port=0, grpc_port=0)).stop()
