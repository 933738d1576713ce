"""Liveness of a process and readiness of its services.

Liveness has no dependencies: a process whose database cannot be reached is alive, but not ready.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

logger = logging.getLogger(__name__)

_CONTRACT = "modelyard.api."
_FRESH_S = 2.0
_PATIENCE_S = 1.0
_PENDING = "The readiness check is still running: its dependency does not answer."


class Probe:
    """A readiness check that runs on one thread at a time, however many callers there are.

    A result without a problem is cached for 2 s. While a check hangs, as one of a database may,
    each caller waits for at most a second, and no further threads are started.

    Args:
        name: Area that the check covers, for the log.
        check: Returns the problem in a sentence; empty if there is none.
    """

    def __init__(self, name: str, check: Callable[[], str]) -> None:
        self.name = name
        self._check = check
        self._changed = threading.Condition()
        self._is_running = False
        self._problem = ""
        self._checked = -math.inf

    def problem(self) -> str:
        """Return the problem, empty if there is none; waits for at most a second."""
        with self._changed:
            if not self._problem and time.monotonic() - self._checked < _FRESH_S:
                return ""
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="probe", daemon=True).start()
            if self._changed.wait_for(lambda: not self._is_running, _PATIENCE_S):
                return self._problem
            return _PENDING

    def _run(self) -> None:
        try:
            problem = self._check()
        except Exception:
            logger.exception("the check failed", extra={"service": self.name})
            problem = "The readiness check failed; the cause is in the log."
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
        self._loads: dict[str, Callable[[], str]] = {}

    def add(
        self,
        service: str,
        check: Callable[[], str],
        area: str = "",
        load: Callable[[], str] = str,
    ) -> None:
        """Add a service; a check that several services share runs once for all of them.

        Args:
            service: Full name of the service.
            check: Returns the problem in a sentence; empty if there is none.
            area: Name that problems are reported under; by default taken from the package.
            load: Returns the problem of a saturated service, likewise, without waiting.

        Raises:
            ValueError: The service is not of our contract, and no area is given.
        """
        area = area or area_of(service)
        shared = self._by_check.get(check)
        self._probes[service] = shared or Probe(area, check)
        self._by_check[check] = self._probes[service]
        self._loads[service] = load

    def leave(self) -> None:
        """Report not ready from now on, because the process is about to stop."""
        self._leaving.set()

    @property
    def is_leaving(self) -> bool:
        return self._leaving.is_set()

    def services(self) -> Mapping[str, Callable[[], str]]:
        """Return the function that reports the problem of each service, by full name."""
        return {name: partial(self._problem, name) for name in self._probes}

    def _problem(self, service: str) -> str:
        return self._loads[service]() or self._probes[service].problem()

    def problems(self) -> list[str]:
        """Return the problems of this process, e.g. `registry: The database …`; none if ready."""
        if self.is_leaving:
            return ["Stopping."]
        found = [(self._probes[name].name, load()) for name, load in self._loads.items()]
        found += [(probe.name, probe.problem()) for probe in self._by_check.values()]
        return [f"{name}: {problem}" for name, problem in found if problem]


def area_of(service: str) -> str:
    """Return the area in a service's full name, e.g. "registry" in `modelyard.api.registry.v1.X`.

    Raises:
        ValueError: The service is not of our contract.
    """
    if not service.startswith(_CONTRACT):
        raise ValueError(f"{service} is not of the package {_CONTRACT}*, so its area must be given")
    return service.removeprefix(_CONTRACT).partition(".")[0]


class Health:
    """`grpc.health.v1`: liveness under the empty name, readiness under the name of a service."""

    def __init__(self, readiness: Readiness) -> None:
        self._problems: dict[str, Callable[[], str]] = {"": str, **readiness.services()}
        self._readiness = readiness

    def check(self, data: bytes, context: grpc.ServicerContext) -> bytes:
        """Answer a serialized request with a serialized response."""
        try:
            request = health_pb2.HealthCheckRequest.FromString(data)
        except DecodeError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The request cannot be parsed.")
        problem = self._problems.get(request.service)
        if problem is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "No service of that name is mounted here.")
            raise AssertionError  # abort has raised
        response = health_pb2.HealthCheckResponse
        is_leaving = bool(request.service) and self._readiness.is_leaving
        serves = not is_leaving and not problem()
        status = response.SERVING if serves else response.NOT_SERVING
        return bytes(response(status=status).SerializeToString())

    def watch(self, _data: bytes, context: grpc.ServicerContext) -> Any:
        """Refuse: the loss of a database triggers no event, and a stream would delay shutdowns."""
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Watch is not offered; call Check instead.")


def behaviors(readiness: Readiness) -> dict[MethodDescriptor, Callable[..., Any]]:
    """Return the behaviors of the health service, by method."""
    health = Health(readiness)
    methods = health_pb2.DESCRIPTOR.services_by_name["Health"].methods_by_name
    return {methods["Check"]: health.check, methods["Watch"]: health.watch}
