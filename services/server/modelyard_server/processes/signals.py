"""How a server learns that it is to stop: SIGTERM or SIGINT, waited for and never interrupting."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def hold_stop_signals() -> None:
    """Leave SIGTERM and SIGINT to `wait_for_stop`; all threads started later inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


@contextmanager
def ended_by_stop() -> Iterator[None]:
    """End the process at once when it is told to stop inside, while it serves nobody yet.

    Starting waits for databases and stores, which may accept a connection and never answer.
    """
    started = signal.SIGUSR1
    signal.pthread_sigmask(signal.SIG_BLOCK, {started})

    def end_when_told() -> None:
        if signal.sigwait(_SIGNALS | {started}) != started:
            os._exit(0)

    watching = threading.Thread(target=end_when_told, name="stop", daemon=True)
    watching.start()
    try:
        yield
    finally:
        signal.pthread_kill(watching.ident or 0, started)
        watching.join()


def wait_for_stop() -> None:
    """Block until the process is told to stop; after that a Ctrl-C ends it at once."""
    signal.sigwait(_SIGNALS)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def wait_for_second_stop(timeout_s: float) -> None:
    """Block for a while, unless the process is told again."""
    signal.sigtimedwait({signal.SIGTERM}, timeout_s)
