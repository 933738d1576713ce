"""An endpoint: a reference, the version that answers for it now, and its state.

Everything here runs on one event loop, so activating a version is one assignment. This module is
independent of the transport.
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
    """State of an endpoint, named as in the contract's `TargetStatus`."""

    LOADING = "LOADING"
    SERVING = "SERVING"
    DETACHED = "DETACHED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Identity:
    """Identity of a model that answers.

    Attributes:
        name: Name of the registered model; empty for a URI without one.
        version: Version number; empty for a URI without a registered model.
        digest: SHA-256 of the manifest, 64 hexadecimal digits; empty if not verified.
    """

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        what = f"version {self.version}" if self.version else "the model"
        return f"{what} ({f'sha256 {self.digest[:12]}' if self.digest else 'not verified'})"


class Served:
    """A version with its worker, and a count of the requests that use it.

    Args:
        identity: Identity of the version.
        queue: Worker of the version, and its queue.
        scratch: Folder to remove when the version is retired; None for none.
    """

    def __init__(self, identity: Identity, queue: WorkerQueue, scratch: Path | None = None) -> None:
        self.identity = identity
        self.queue = queue
        self._scratch = scratch
        self._requests = 0
        self._unused = asyncio.Event()
        self._unused.set()

    async def predict(self, request: Request) -> bytes:
        """Return the JSON answer to a request; raises as `WorkerQueue.ask`."""
        name, version = self.identity.name, self.identity.version
        with metrics.predict_duration.labels(name, version).time():
            return await self.queue.ask(request)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the version for one request; it is not retired meanwhile."""
        self._requests += 1
        self._unused.clear()
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self._unused.set()

    async def retire(self) -> None:
        """Wait for the last request, then stop the worker. The version must be replaced before."""
        await self._unused.wait()
        await self.queue.close()
        metrics.predict_duration.remove(self.identity.name, self.identity.version)
        if self._scratch is not None:
            await asyncio.to_thread(shutil.rmtree, self._scratch)


class Endpoint:
    """Answers from one version at a time.

    Attributes:
        uri: The reference.
        model_name: Name of the registered model in the reference; empty if there is none.
        state: State of the endpoint.
        message: Reason of the state; may be empty.
        served: The version that answers; None before the first one is loaded and warm.
        loaded: Set when the first version is loaded and warm.
        is_draining: Whether the endpoint is shutting down.
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
        """Whether a version is loaded and warm, and the endpoint is not shutting down."""
        return self.served is not None and self.served.queue.is_up and not self.is_draining

    @property
    def why_not_ready(self) -> str:
        if self.is_draining:
            return f"{self.uri} is shutting down."
        if self.served is not None:
            return f"The process of {self.served.identity} ended and is being replaced."
        return f"{self.uri} cannot be served yet: {self.message}"

    @contextmanager
    def hold(self) -> Iterator[Served]:
        """Hold the version that answers now, for one request.

        Raises:
            Unavailable: No version is loaded yet.
        """
        served = self.served
        if served is None:
            raise Unavailable(self.why_not_ready)
        with served.held():
            yield served

    def activate(self, served: Served) -> Served | None:
        """Make a version the one that answers; return the previous one, to be retired."""
        previous, self.served = self.served, served
        if previous is not None:
            metrics.model_active.remove(*astuple(previous.identity))
        metrics.model_active.labels(*astuple(served.identity)).set(1)
        self.report(State.SERVING)
        self.loaded.set()
        return previous

    def report(self, state: State, message: str = "") -> None:
        self.state, self.message = state, message
