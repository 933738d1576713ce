"""Whether a process lives, and whether its services can do their work now.

Liveness has no dependencies: a process whose database is away is alive, and not ready.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

logger = logging.getLogger(__name__)

_CONTRACT = "modelyard.api."
_FRESH_S = 2.0
_PATIENCE_S = 1.0
_SILENT = "The check has not ended yet: what it asks does not answer."


class Probe:
    """One check, run by one thread at a time, whoever asks and however often.

    An answer without a problem is kept for 2 s. A check that hangs, as one of a database may,
    costs those who ask a second each, and never a thread each.

    Args:
        name: Of what is checked, for the log.
        check: Returns what is wrong in a sentence, or nothing.
    """

    def __init__(self, name: str, check: Callable[[], str]) -> None:
        self.name = name
        self._check = check
        self._changed = threading.Condition()
        self._is_running = False
        self._problem = ""
        self._checked = -math.inf

    def problem(self) -> str:
        """Return what is wrong, or nothing; waits for at most a second."""
        with self._changed:
            if not self._problem and time.monotonic() - self._checked < _FRESH_S:
                return ""
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="probe", daemon=True).start()
            if self._changed.wait_for(lambda: not self._is_running, _PATIENCE_S):
                return self._problem
            return _SILENT

    def _run(self) -> None:
        try:
            problem = self._check()
        except Exception:
            logger.exception("the check failed", extra={"service": self.name})
            problem = "The check failed; the log says why."
        with self._changed:
            if problem != self._problem:
                level = logging.WARNING if problem else logging.INFO
                text = f"not ready: {problem}" if problem else "ready again"
                logger.log(level, text, extra={"service": self.name})
            self._problem = problem
            self._checked = time.monotonic()
            self._is_running = False
            self._changed.notify_all()


class Readiness:
    """The readiness of the services of one process."""

    def __init__(self) -> None:
        self._leaving = threading.Event()
        self._probes: dict[str, Probe] = {}
        self._by_check: dict[Callable[[], str], Probe] = {}

    def add(self, service: str, check: Callable[[], str], area: str = "") -> None:
        """Add a service; what two services share is checked once.

        Args:
            service: Its full name.
            check: Returns what is wrong in a sentence, or nothing.
            area: What problems are reported under; by default as its package has it.

        Raises:
            ValueError: It is of another package than ours, and no area is given.
        """
        area = area or area_of(service)
        shared = self._by_check.get(check)
        self._probes[service] = shared or Probe(area, check)
        self._by_check[check] = self._probes[service]

    def leave(self) -> None:
        """Be not ready from now on: the process is about to stop."""
        self._leaving.set()

    @property
    def is_leaving(self) -> bool:
        return self._leaving.is_set()

    def services(self) -> Mapping[str, Callable[[], str]]:
        """Return what is wrong with each service, as functions."""
        return {name: probe.problem for name, probe in self._probes.items()}

    def problems(self) -> list[str]:
        """Return what keeps this process from its work, e.g. `registry: The database …`."""
        if self.is_leaving:
            return ["Stopping."]
        found = [(probe.name, probe.problem()) for probe in self._by_check.values()]
        return [f"{name}: {problem}" for name, problem in found if problem]


def area_of(service: str) -> str:
    """Return the area of a service's full name: "registry" of `modelyard.api.registry.v1.X`.

    Raises:
        ValueError: It is of another package than ours.
    """
    if not service.startswith(_CONTRACT):
        raise ValueError(f"{service} is not of the package {_CONTRACT}*, so its area must be given")
    return service.removeprefix(_CONTRACT).partition(".")[0]


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # published without types
    """`grpc.health.v1`: the empty name is liveness, a service's name its readiness."""

    def __init__(self, readiness: Readiness) -> None:
        self._problems: dict[str, Callable[[], str]] = {"": lambda: "", **readiness.services()}
        self._readiness = readiness

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        problem = self._problems.get(request.service)
        if problem is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "No service of that name is mounted here.")
            raise AssertionError  # abort has raised
        status = health_pb2.HealthCheckResponse
        is_leaving = bool(request.service) and self._readiness.is_leaving
        serves = not is_leaving and not problem()
        return status(status=status.SERVING if serves else status.NOT_SERVING)

    def Watch(self, _request: Any, context: grpc.ServicerContext) -> Any:
        # Nobody tells us when a database goes away; a stream would also hold up every stop.
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Watch is not offered; call Check instead.")
