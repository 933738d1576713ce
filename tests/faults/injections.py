"""What is done to a deployment while clients work: each breaks one thing, and mends it."""

from __future__ import annotations

import os
import random
import signal
import threading
from functools import partial

from tests.faults.chaos import Fault, Progress
from tests.faults.deployment import Deployment, paused_backend
from tests.faults.proxy import Cut, Direction

SHORT_PAUSE_S = 1.0
LONG_PAUSE_S = 5.0
_CUTS = 5
_MOST_BYTES = 3000
_CALLS_BETWEEN_CUTS = 8


def kill(role: str, deployment: Deployment, _progress: Progress, _chance: random.Random) -> None:
    """SIGKILL a service and start it again."""
    deployment.services[role].kill()
    deployment.services[role].start()


def crash_database(deployment: Deployment, _progress: Progress, _chance: random.Random) -> None:
    """End all processes of PostgreSQL at once; it recovers from its log."""
    assert deployment.postgres is not None
    deployment.postgres.crash()
    deployment.postgres.start()


def cut(link: str, deployment: Deployment, progress: Progress, chance: random.Random) -> None:
    """Break connections after random numbers of bytes, in requests and in replies."""
    proxy = deployment.proxies[link]
    for _ in range(_CUTS):
        direction = chance.choice(list(Direction))
        proxy.arm(Cut(direction, keep_bytes=chance.randint(1, _MOST_BYTES)))
        progress.wait(_CALLS_BETWEEN_CUTS)
        proxy.disarm()
        proxy.cut()


def stall(
    link: str, pause_s: float, deployment: Deployment, _progress: Progress, chance: random.Random
) -> None:
    """Keep connections open and pass nothing on, or replies only; then break some for good."""
    proxy = deployment.proxies[link]
    proxy.stall(*chance.choice([(), (Direction.REPLY,), (Direction.REQUEST,)]))
    _wait(pause_s)
    if chance.random() < 0.5:
        proxy.cut()
    proxy.resume()


def pause(
    role: str, pause_s: float, deployment: Deployment, _progress: Progress, _chance: random.Random
) -> None:
    """SIGSTOP a service, then SIGCONT: what it believed before may be wrong after."""
    service = deployment.services[role]
    service.pause()
    _wait(pause_s)
    service.resume()


def pause_backend(
    pause_s: float, deployment: Deployment, _progress: Progress, _chance: random.Random
) -> None:
    """SIGSTOP a process of PostgreSQL in the middle of something, locks and all."""
    assert deployment.postgres is not None
    backend = paused_backend(deployment.postgres)
    if backend is not None:
        _wait(pause_s)
        os.kill(backend, signal.SIGCONT)


def _wait(pause_s: float) -> None:
    """Let a fault last: its length is the fault, nothing is waited for."""
    threading.Event().wait(pause_s)


def faults(deployment: Deployment, pause_s: float) -> list[Fault]:
    """Return each fault that can be done to a deployment, once."""
    return [*_common(pause_s), *_of_tracking(), *_of_a_server(deployment, pause_s)]


def some_faults(deployment: Deployment, pause_s: float) -> list[Fault]:
    """Return a choice, so that each fault is done on one of the two databases at least."""
    of_a_server = _of_a_server(deployment, pause_s)
    return of_a_server + _common(pause_s)[:2] if of_a_server else _common(pause_s) + _of_tracking()


def _common(pause_s: float) -> list[Fault]:
    return [
        partial(kill, "registry"),
        partial(cut, "registry"),
        partial(kill, "gateway"),
        partial(stall, "registry", pause_s),
        partial(pause, "registry", pause_s),
    ]


def _of_tracking() -> list[Fault]:
    return [partial(kill, "tracking"), partial(cut, "tracking")]


def _of_a_server(deployment: Deployment, pause_s: float) -> list[Fault]:
    if deployment.postgres is None:
        return []
    return [
        crash_database,
        partial(kill, "tracking"),
        partial(cut, "database"),
        partial(stall, "database", pause_s),
        partial(pause_backend, pause_s),
    ]
