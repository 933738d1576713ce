"""Ends the open runs of a process that ends: at exit, by an exception, or by SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from modelyard._fluent import heartbeats
from modelyard._fluent.state import client, process, thread
from modelyard._processes import at_exit
from modelyard.exceptions import ModelyardException

_GRACE_S = 10.0
"""Maximum time for ending runs on SIGTERM, before the signal takes its course."""


def end_runs_with_process() -> None:
    """Have the open runs ended when this process ends; called by each start of a run."""
    if threading.current_thread() is threading.main_thread():
        _handle_sigterm()
    if not process.ends_runs_at_exit:
        process.ends_runs_at_exit = True
        at_exit(end_open_runs)


def end_open_runs() -> None:
    """End open runs at exit, as FAILED if an uncaught exception ended the script."""
    error = getattr(sys, "last_value", None) or sys.exc_info()[1]
    crashed = error is not None and not isinstance(error, SystemExit) and not hasattr(sys, "ps1")
    _end_all("FAILED" if crashed else "FINISHED")


def end_briefly(run_id: str, status: str) -> None:
    """End a run of a script that fails or exits, and report on stderr if that is impossible.

    The script's own error matters more than this one, and it must not hang because of a server
    that is away: the server is not waited for.
    """
    from modelyard._transport import rpc

    heartbeats.end(run_id)
    try:
        with rpc.without_waiting():
            client().set_terminated(run_id, status)
    except ModelyardException as error:
        with suppress(OSError, ValueError):  # stderr may be closed
            sys.stderr.write(f"modelyard: run {run_id} could not be ended: {error}\n")


def _end_all(status: str) -> None:
    while process.open_run_ids:
        with suppress(KeyError):  # ended by another thread meanwhile
            end_briefly(process.open_run_ids.pop(), status)


def _handle_sigterm() -> None:
    """Have SIGTERM end the open runs as KILLED, before what it did so far.

    A process that ignores the signal, or handles it outside of Python, is left alone.
    """
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL or (callable(before) and not isinstance(before, _OnSigterm)):
        signal.signal(signal.SIGTERM, _OnSigterm(before))


class _OnSigterm:
    """Handler of SIGTERM.

    Args:
        before: The handler that it replaces, which is still called.
    """

    def __init__(self, before: Callable[[int, FrameType | None], Any] | signal.Handlers) -> None:
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if callable(self._before):
            try:
                # If it returns, the script goes on, and so do its runs.
                self._before(number, frame)
            except BaseException:
                self._end()
                raise
            return
        try:
            self._end()
        finally:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def _end(self) -> None:
        # In another thread: this one may hold a lock that a call needs.
        ending = threading.Thread(target=_end_all, args=("KILLED",), daemon=True)
        ending.start()
        ending.join(_GRACE_S)
        thread.runs.clear()
