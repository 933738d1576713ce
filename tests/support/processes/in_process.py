"""Commands of servers in the test's own process, for what they refuse before they serve."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def a_start_undone(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    """Undo at the end what a start does to the process; no setting but the home is there."""
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
