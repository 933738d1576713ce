"""Keeps an endpoint on the version that its reference resolves to.

The steps are: watch, resolve, fetch, verify, load in a new worker, warm, activate, drain the old
version. A failure of any step leaves the old version serving.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modelyard.exceptions import ModelyardException
from modelyard_kit.errors import Error, NotFound, OutOfRange
from modelyard_serving import metrics
from modelyard_serving.clients import ModelChange, NoModel, Registry, Resolution
from modelyard_serving.endpoint import Endpoint, Identity, Served, State
from modelyard_serving.runtime.process import Confinement, LoadFailed, LoadKilled, Process
from modelyard_serving.runtime.worker_queue import WorkerQueue
from modelyard_serving.threads import call_soon, in_thread

LOAD_TIMEOUT_S = 300.0
_FIRST_PAUSE_S = 0.5
_MAX_PAUSE_S = 30.0
_MAX_KILLED = 8  # loads, over a minute: a model whose process is killed each time does not fit
_WATCH_PAUSE_S = (0.1, 2.0)
_FOLLOWED = re.compile(r"models:/+(?P<name>[^/]+?)(/(?!\d+$)[^/]+|@[^/@]+)")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Failed:
    """A version that cannot be loaded."""

    identity: Identity
    reason: str

    def is_about(self, identity: Identity) -> bool:
        """Whether an identity has the same bytes."""
        if identity.digest:
            return identity.digest == self.identity.digest
        return identity == self.identity


def followed_name(uri: str) -> str | None:
    """Return the registered model to watch; None for a fixed reference.

    `models:/name/Production`, `models:/name/latest` and `models:/name@alias` can change;
    `models:/name/3`, `models:/m-<id>` and `runs:/<run>/<path>` are fixed.
    """
    found = _FOLLOWED.fullmatch(uri)
    return found["name"] if found else None


class Follower:
    """Follows the reference of an endpoint.

    Args:
        endpoint: Endpoint to keep on its reference.
        registry: Resolves the reference.
        allow_pickle: Whether pickled models may be loaded.
        timeout_s: Longest time that one prediction may run, in seconds.
        confinement: Bounds of the workers.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        registry: Registry,
        *,
        allow_pickle: bool,
        timeout_s: float,
        confinement: Confinement,
    ) -> None:
        self._endpoint = endpoint
        self._registry = registry
        self._allow_pickle = allow_pickle
        self._timeout_s = timeout_s
        self._confinement = confinement
        self._name = followed_name(endpoint.uri)
        self._changed = asyncio.Event()
        self._applied_revision = 0
        self._seen_revision = 0
        self._retiring: set[asyncio.Task[None]] = set()
        self._failed: _Failed | None = None
        self._killed: tuple[Identity | None, int] = (None, 0)
        self._stopped = threading.Event()
        self.attempted = asyncio.Event()
        """Set when the first attempt to serve a version has ended, successfully or not."""
        self.no_model = ""
        """Reason why the reference names no model; only if that was so at the first attempt."""

    async def run(self) -> None:
        """Follow the reference until cancelled; a fixed reference only until it is served.

        Ends if the reference names files that are no model at the first attempt.
        """
        if self._name is not None:
            watch = partial(self._watch, self._name, asyncio.get_running_loop())
            threading.Thread(target=watch, name="watch", daemon=True).start()
        pause_s = _FIRST_PAUSE_S
        while True:
            self._changed.clear()
            is_settled = await self._advance()
            self.attempted.set()
            if self.no_model or (is_settled and self._name is None):
                return
            pause_s = _FIRST_PAUSE_S if is_settled else min(2 * pause_s, _MAX_PAUSE_S)
            try:
                async with asyncio.timeout(None if is_settled else pause_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """Stop watching, and wait until every worker has ended."""
        self._stopped.set()
        self._registry.close()
        if self._endpoint.served is not None:
            self._retire(self._endpoint.served)
        if self._retiring:
            await asyncio.wait(self._retiring)

    async def _advance(self) -> bool:
        """Bring the endpoint to the version it resolves to now; return whether nothing is left."""
        try:
            # A fixed reference is fetched from this reply; most others only confirm the version.
            resolution = await self._resolve(include_downloads=self._name is None)
        except NotFound as error:
            self._failed = None
            self._report_detached(error.message)
            return self._name is not None
        except (Error, ModelyardException) as error:
            self._report_failed(error.message)
            return False
        if resolution.revision < max(self._applied_revision, self._seen_revision):
            return False  # from a registry replica that lags behind
        self._applied_revision = resolution.revision
        return await self._advance_to(resolution)

    async def _advance_to(self, resolution: Resolution) -> bool:
        """Bring the endpoint to a version; return whether nothing is left."""
        served = self._endpoint.served
        if served is not None and served.identity == resolution.identity:
            self._endpoint.report(State.SERVING)
            return True
        if self._failed is not None and self._failed.is_about(resolution.identity):
            self._report_failed(self._failed.reason)
            return True
        self._failed = None
        try:
            new = await self._load(resolution)
        except (Error, ModelyardException, LoadFailed, OSError) as error:
            return self._on_failure(resolution.identity, error)
        return await self._activate(new)

    def _on_failure(self, identity: Identity, error: Exception) -> bool:
        """Report why a version cannot be served; return whether it is not tried again."""
        metrics.swaps.labels("failed").inc()
        reason = f"{identity} cannot be served: {_reason(error)}"
        if isinstance(error, NoModel) and not self.attempted.is_set():
            self.no_model = error.message
        is_final = isinstance(error, NoModel) or (
            isinstance(error, LoadFailed) and not error.may_pass
        )
        if isinstance(error, LoadKilled):
            is_final = self._is_killed_again(identity)
        if is_final:
            reason += " It is not tried again until the reference changes or this process restarts."
            self._failed = _Failed(identity, reason)
        self._report_failed(reason)
        return is_final

    def _is_killed_again(self, identity: Identity) -> bool:
        """Count a load whose process was killed; return whether there were too many in a row."""
        last, times = self._killed
        self._killed = (identity, times + 1 if identity == last else 1)
        return self._killed[1] >= _MAX_KILLED

    async def _resolve(self, *, include_downloads: bool) -> Resolution:
        resolve = partial(self._registry.resolve, self._endpoint.uri)
        return await in_thread(partial(resolve, include_downloads=include_downloads))

    async def _load(self, resolution: Resolution) -> Served:
        """Load a version in a new worker and warm it."""
        began_s = time.monotonic()
        scratch = Path(tempfile.mkdtemp(prefix="model-", dir=self._confinement.scratch))
        try:
            folder = await in_thread(partial(self._registry.fetch, resolution, scratch))
            start = partial(
                Process.start,
                folder,
                allow_pickle=self._allow_pickle,
                timeout_s=LOAD_TIMEOUT_S,
                confinement=self._confinement,
            )
            queue = WorkerQueue(await start(), start, self._timeout_s)
            metrics.model_load.observe(time.monotonic() - began_s)
        except BaseException:
            shutil.rmtree(scratch)
            raise
        return Served(resolution.identity, queue, scratch)

    async def _activate(self, new: Served) -> bool:
        # Resolved again, as the watch may not have delivered the latest change yet.
        if self._name is not None and not await self._is_current(new):
            self._retire(new)  # the reference changed while this version was loading
            return False
        previous = self._endpoint.activate(new)
        metrics.swaps.labels("done").inc()
        _log.info("serving %s", new.identity, extra={"model_uri": self._endpoint.uri})
        if previous is not None:
            self._retire(previous)
        return True

    async def _is_current(self, new: Served) -> bool:
        try:
            return (await self._resolve(include_downloads=False)).identity == new.identity
        except NotFound:
            return False
        except (Error, ModelyardException):
            return True  # the registry cannot confirm it now

    def _retire(self, served: Served) -> None:
        task = asyncio.create_task(served.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def _report_detached(self, reason: str) -> None:
        if self._endpoint.served is None:
            self._report(State.FAILED, reason)
        else:
            self._report(State.DETACHED, f"{_sentence(reason)} The last version still answers.")

    def _report_failed(self, reason: str) -> None:
        if self._endpoint.served is None:
            self._report(State.FAILED, reason)
        else:
            message = f"{_sentence(reason)} The last version still answers."
            self._report(self._endpoint.state, message)

    def _report(self, state: State, message: str) -> None:
        if message != self._endpoint.message:
            _log.warning(message, extra={"model_uri": self._endpoint.uri})
        self._endpoint.report(state, message)

    def _watch(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        """Pass changes to the loop; runs in a thread. Each stream resumes after the last."""
        pause_s, longest_s = _WATCH_PAUSE_S
        while not self._stopped.is_set():
            try:
                is_first = True
                for change in self._registry.watch(name, self._applied_revision):
                    if is_first or not change.is_heartbeat:
                        call_soon(loop, partial(self._on_change, change))
                    is_first = False
                    pause_s = _WATCH_PAUSE_S[0]
            except OutOfRange:
                call_soon(loop, self._forget_revisions)
            except (Error, ModelyardException) as error:
                if not self._stopped.is_set():
                    _log.info("the watch of %s ended: %s", name, error.message)
            call_soon(loop, self._changed.set)  # without a watch, each attempt is a poll
            self._stopped.wait(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    def _on_change(self, change: ModelChange) -> None:
        self._seen_revision = max(self._seen_revision, change.revision)
        self._changed.set()

    def _forget_revisions(self) -> None:
        """Start over, after the registry was restored to an earlier state."""
        self._applied_revision = self._seen_revision = 0


def _reason(error: Exception) -> str:
    return _sentence(str(error.strerror) if isinstance(error, OSError) else str(error))


def _sentence(text: str) -> str:
    return text.rstrip(".") + "."
