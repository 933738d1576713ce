"""Stop signals of a server: SIGTERM and SIGINT are waited for and never interrupt code."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def hold_stop_signals() -> None:
    """Block SIGTERM and SIGINT, for `wait_for_stop`; threads started later inherit the mask."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


@contextmanager
def ended_by_stop() -> Iterator[None]:
    """End the process at once on a stop signal inside the block, before it serves clients.

    Start-up waits for databases and stores, which may accept a connection and never answer.
    """
    started = signal.SIGUSR1
    signal.pthread_sigmask(signal.SIG_BLOCK, {started})

    def end_on_signal() -> None:
        if signal.sigwait(_SIGNALS | {started}) != started:
            os._exit(0)

    watching = threading.Thread(target=end_on_signal, name="stop", daemon=True)
    watching.start()
    try:
        yield
    finally:
        signal.pthread_kill(watching.ident or 0, started)
        watching.join()


def wait_for_stop() -> None:
    """Block until a stop signal arrives; a Ctrl-C after that ends the process at once."""
    signal.sigwait(_SIGNALS)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def wait_for_second_stop(timeout_s: float) -> None:
    """Block for at most `timeout_s`, or until a second SIGTERM arrives."""
    signal.sigtimedwait({signal.SIGTERM}, timeout_s)
