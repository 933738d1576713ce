"""State of the functions of `modelyard`: the active experiment and the active runs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from modelyard._processes import in_forked_child
from modelyard.entities import Run

if TYPE_CHECKING:  # the client imports grpc, which `import modelyard` must not
    from modelyard.client import MlflowClient


class _ThreadState(threading.local):
    """Active runs of a thread; a run is active in the thread that started it."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.last_run_id: str | None = None


class _ProcessState:
    """The experiment of `set_experiment`, and the open runs, which are ended at exit."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.experiment_id: str | None = None
        self.last_model_id: str | None = None
        self.open_run_ids: set[str] = set()
        self.ends_runs_at_exit = False

    def forget_inherited(self) -> None:
        """After a fork: the parent's runs are neither active nor ended in the child."""
        self.lock = threading.Lock()
        self.open_run_ids.clear()
        self.ends_runs_at_exit = False
        thread.runs.clear()
        thread.last_run_id = None


thread = _ThreadState()
process = _ProcessState()
in_forked_child(process.forget_inherited)


def client() -> MlflowClient:
    from modelyard.client import MlflowClient

    return MlflowClient()
