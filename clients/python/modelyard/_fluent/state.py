"""State of the functions of `modelyard`: the active experiment and the active runs."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from typing import TYPE_CHECKING

from modelyard.entities import Run
from modelyard.exceptions import ModelyardException

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
        self.experiment_id: str | None = None
        self.last_model_id: str | None = None
        self.open_run_ids: set[str] = set()


thread = _ThreadState()
process = _ProcessState()
# A forked child may continue to log to the run, but only the parent ends it.
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=process.open_run_ids.clear)


def client() -> MlflowClient:
    from modelyard.client import MlflowClient

    return MlflowClient()


def end_open_runs() -> None:
    """At exit: end open runs, as FAILED if an uncaught exception ended the script."""
    crashed = getattr(sys, "last_value", None) is not None and not hasattr(sys, "ps1")
    for run_id in list(process.open_run_ids):
        try:
            client().set_terminated(run_id, "FAILED" if crashed else "FINISHED")
        except ModelyardException as error:
            with contextlib.suppress(OSError):  # stderr may be closed
                sys.stderr.write(f"modelyard: run {run_id} could not be ended: {error}\n")
