"""How a server learns that it is to stop: SIGTERM or SIGINT, waited for and never interrupting."""

from __future__ import annotations

import signal

_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def hold_stop_signals() -> None:
    """Leave SIGTERM and SIGINT to `wait_for_stop`; all threads started later inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def wait_for_stop() -> None:
    """Block until the process is told to stop; after that a Ctrl-C ends it at once."""
    signal.sigwait(_SIGNALS)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def wait_for_second_stop(timeout_s: float) -> None:
    """Block for a while, unless the process is told again."""
    signal.sigtimedwait({signal.SIGTERM}, timeout_s)
