"""Whether the gateway's store is the one of tracking."""

from __future__ import annotations

import math
import threading
import time
from typing import ClassVar

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard_gateway.artifacts.clients import ServiceClients
from modelyard_kit.artifacts import ArtifactStore
from modelyard_kit.artifacts.marks import INSTALLATION
from modelyard_kit.errors import Error, Unavailable
from modelyard_kit.http.errors import HttpError

_PATIENCE_S = 2.0
_OTHER = (
    "The artifact store of the gateway belongs to another installation than tracking, or to none, "
    "so no artifacts are served or stored. Correct MODELYARD_ARTIFACTS of the gateway."
)


class Belonging:
    """Compares the installation of the gateway's store with the one of tracking. Calls block.

    A store or a tracking service that cannot be reached is not another one: until both have
    answered again, the last result stands. An earlier version of tracking does not answer.

    Args:
        store: Store of the gateway.
        clients: Asks tracking.
    """

    fresh_s: ClassVar[float] = 10.0
    """How long a result is used, in seconds: every transfer asks."""

    def __init__(self, store: ArtifactStore, clients: ServiceClients) -> None:
        self._store = store
        self._clients = clients
        self._comparing = threading.Lock()
        self._compared = -math.inf
        self._is_other = False

    def require(self) -> None:
        """Compare, unless that was done a short time ago.

        Raises:
            Unavailable: The store is not the one of tracking.
        """
        if problem := self.problem():
            raise Unavailable(problem)

    @property
    def last_problem(self) -> str:
        """What the last comparison found, empty if nothing."""
        return _OTHER if self._is_other else ""

    def problem(self) -> str:
        """Return what `require` would raise; empty if nothing."""
        is_first = self._compared == -math.inf  # later ones do not wait: the last result stands
        if self._is_due() and self._comparing.acquire(blocking=is_first):
            try:
                if self._is_due():
                    self._compare()
            finally:
                self._comparing.release()
        return self.last_problem

    def _is_due(self) -> bool:
        is_old = time.monotonic() - self._compared >= self.fresh_s
        return is_old and self._clients.has_tracking

    def _compare(self) -> None:
        try:
            reply: pb.InspectObjectsResponse = self._clients.artifacts(
                "InspectObjects",
                pb.InspectObjectsRequest(),
                self._clients.own_identity(),
                _PATIENCE_S,
            )
            if reply.installation_id:
                self._is_other = self._store.mark(INSTALLATION) != reply.installation_id
        except (Error, HttpError):
            pass  # reported where it hinders: by the readiness, and by the transfer itself
        self._compared = time.monotonic()
