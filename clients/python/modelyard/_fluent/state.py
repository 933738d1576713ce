"""What the functions of `modelyard` remember: the active experiment and the active runs."""

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
    """Runs are active in the thread that started them."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.last_run_id: str | None = None


class _ProcessState:
    """The experiment of `set_experiment`, and every run that is open, to be ended at exit."""

    def __init__(self) -> None:
        self.experiment_id: str | None = None
        self.last_model_id: str | None = None
        self.open_run_ids: set[str] = set()


thread = _ThreadState()
process = _ProcessState()
# A forked child may go on logging to the run, but only the parent ends it.
os.register_at_fork(after_in_child=process.open_run_ids.clear)


def client() -> MlflowClient:
    from modelyard.client import MlflowClient

    return MlflowClient()


def end_open_runs() -> None:
    """At exit: end what was left open, as FAILED if an uncaught exception ended the script."""
    crashed = getattr(sys, "last_value", None) is not None and not hasattr(sys, "ps1")
    for run_id in list(process.open_run_ids):
        try:
            client().set_terminated(run_id, "FAILED" if crashed else "FINISHED")
        except ModelyardException as error:
            with contextlib.suppress(OSError):  # stderr may be gone already
                sys.stderr.write(f"modelyard: run {run_id} could not be ended: {error}\n")
