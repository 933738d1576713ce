"""An endpoint: a reference, the version that answers for it now, and where it stands.

Everything here runs on one event loop, so a activate is one assignment. Knows no transport.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from enum import StrEnum
from pathlib import Path

from modelyard_kit.errors import Unavailable
from modelyard_serving import metrics
from modelyard_serving.runtime.process import Request
from modelyard_serving.runtime.worker_queue import WorkerQueue

_NAMED = re.compile(r"models:/(?P<name>[^/]+?)(/[^/]+|@[^/@]+)")


class State(StrEnum):
    """Where an endpoint stands; the contract's `Endpoint.State`."""

    LOADING = "LOADING"
    SERVING = "SERVING"
    DETACHED = "DETACHED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Identity:
    """Which model answers.

    Attributes:
        name: Of the registered model; empty for a URI that names none.
        version: Its number; empty likewise.
        digest: SHA-256 of its manifest, 64 hexadecimal digits; empty when it is not verified.
    """

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        what = f"version {self.version}" if self.version else "the model"
        return f"{what} ({f'sha256 {self.digest[:12]}' if self.digest else 'not verified'})"


class Served:
    """A version with its worker, and how many requests it is answering.

    Args:
        identity: Which version it is.
        lane: Its worker.
        scratch: A folder that goes with it when it is retired.
    """

    def __init__(self, identity: Identity, lane: WorkerQueue, scratch: Path | None = None) -> None:
        self.identity = identity
        self.lane = lane
        self._scratch = scratch
        self._requests = 0
        self._unused = asyncio.Event()
        self._unused.set()

    async def predict(self, request: Request) -> bytes:
        """Return the JSON answer to a request; raises as `WorkerQueue.ask`."""
        who = self.identity
        with metrics.predict_duration.labels(who.name, who.version).time():
            return await self.lane.ask(request)

    @contextmanager
    def leased(self) -> Iterator[None]:
        """Hold it for one request: it is not retired meanwhile."""
        self._requests += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self._unused.set()

    async def retire(self) -> None:
        """Wait for its last request, then stop its worker. It must have been replaced before."""
        await self._unused.wait()
        await self.lane.close()
        metrics.predict_duration.remove(self.identity.name, self.identity.version)
        if self._scratch is not None:
            await asyncio.to_thread(shutil.rmtree, self._scratch)


class Endpoint:
    """Answers from one version at a time.

    Attributes:
        uri: The reference.
        model_name: Of the registered model that it names; empty if it names none.
        state: Where it stands.
        message: Why; empty when there is nothing to say.
        served: The version that answers; None before the first is loaded and warm.
        loaded: Set when the first is.
        is_draining: Whether it is shutting down.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        named = _NAMED.fullmatch(uri)
        self.model_name = named["name"] if named else ""
        self.state = State.LOADING
        self.message = "No version has been loaded yet."
        self.served: Served | None = None
        self.is_draining = False
        self.loaded = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        """Whether a version is loaded and warm, and the endpoint is not ending."""
        return self.served is not None and self.served.lane.is_up and not self.is_draining

    @property
    def why_not_ready(self) -> str:
        if self.is_draining:
            return f"{self.uri} is shutting down."
        if self.served is not None:
            return f"The process of {self.served.identity} ended and is being replaced."
        return f"{self.uri} cannot be served yet: {self.message}"

    @contextmanager
    def lease(self) -> Iterator[Served]:
        """Hold the version that answers now, for one request.

        Raises:
            Unavailable: None is loaded yet.
        """
        served = self.served
        if served is None:
            raise Unavailable(self.why_not_ready)
        with served.leased():
            yield served

    def activate(self, served: Served) -> Served | None:
        """Answer from `served` from now on; return the one before, to be retired."""
        before, self.served = self.served, served
        if before is not None:
            metrics.model_active.remove(*astuple(before.identity))
        metrics.model_active.labels(*astuple(served.identity)).set(1)
        self.report(State.SERVING)
        self.loaded.set()
        return before

    def report(self, state: State, message: str = "") -> None:
        self.state, self.message = state, message
