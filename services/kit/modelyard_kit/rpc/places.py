"""The places of a service: the calls that run, and those that wait for a thread.

Places are shared by callers, not by calls: threads take calls of each caller in turn, and in a full
queue a caller with more calls gives way to one with fewer. One caller has all places while no other
caller needs them.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar

from modelyard_kit.errors import ResourceExhausted
from modelyard_kit.observability.bounded_log import BoundedLog
from modelyard_kit.observability.metrics import rpc_shed
from modelyard_kit.rpc.open_call import OpenCall

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1.0
_CALLERS_PER_FREE_THREAD = 8
_MOST_STREAMS = 3 / 4


class Places(ThreadPoolExecutor):
    """The threads and the bounded queue of a service, or the threads of its streams.

    gRPC gives it calls of which the head has arrived. They take a place when their request has
    arrived as well.

    Args:
        name: Name of the service.
        threads: Number of calls that run at the same time.
        queued: Number of calls that may wait for a thread.
        each: Number of threads that one caller may hold.
        opened: Takes a call whose head has arrived; passes it to `take` with its request.
    """

    late_s: ClassVar[float] = 5.0
    """How long a call waits for a thread before the service counts as saturated."""

    def __init__(
        self,
        name: str,
        threads: int,
        queued: int,
        each: int,
        opened: Callable[[tuple[Any, ...], Places], None],
    ) -> None:
        super().__init__(max(threads, 1), thread_name_prefix=name)
        self.name = name
        self._at_once = threads
        self._most_queued = queued
        self._each = each
        self._opened = opened
        self._lock = threading.Lock()
        self._queues: OrderedDict[str, deque[OpenCall]] = OrderedDict()
        self._queued = 0
        self._running: dict[OpenCall, None] = {}
        self._running_of: dict[str, int] = {}
        self._late_at = float("-inf")
        self._overloads = BoundedLog(logger, "overloaded")

    @classmethod
    def of_calls(
        cls, name: str, threads: int, opened: Callable[[tuple[Any, ...], Places], None]
    ) -> Places:
        """Return the places of unary calls: a queue four times as long as there are threads."""
        each = threads - threads // _CALLERS_PER_FREE_THREAD
        return cls(name, threads, threads * 4, each, opened)

    @classmethod
    def of_streams(
        cls, name: str, threads: int, opened: Callable[[tuple[Any, ...], Places], None]
    ) -> Places:
        """Return the places of streams, which are not queued."""
        return cls(name, threads, 0, math.ceil(threads * _MOST_STREAMS), opened)

    def submit(self, run: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        """Take a call from gRPC, which needs the result to count calls; they are counted here."""
        self._opened((run, *args), self)
        return _TAKEN

    def take(self, call: OpenCall) -> None:
        """Give a place to a call whose request has arrived, or refuse it or another call."""
        with self._lock:
            loser = self._loser(call)
            if loser is not call:
                call.queued_at = time.monotonic()
                self._queues.setdefault(call.caller, deque()).append(call)
                self._queued += 1
            if loser is not None and loser is not call:
                self._drop(loser)
        if loser is not None:
            rpc_shed.labels("calls" if self._most_queued else "streams").inc()
            self._overloads.note(service=self.name, principal=loser.head.principal)
            loser.refuse(self._overloaded(loser).after(RETRY_AFTER_S))
        if loser is not call:
            super().submit(self._work)

    def running(self) -> list[OpenCall]:
        """Return the calls that run."""
        with self._lock:
            return list(self._running)

    def problem(self) -> str:
        """Return in a sentence that callers wait for a thread for too long; empty if not.

        The calls of a caller that has others running do not count: its own calls delay them. The
        problem stays until no call has waited for too long for as long again.
        """
        now = time.monotonic()
        with self._lock:
            heads = [queue[0] for queue in self._queues.values() if self._is_first(queue[0])]
            if any(now - call.queued_at >= self.late_s for call in heads):
                self._late_at = now
            if now - self._late_at < self.late_s:
                return f"Calls wait for a thread for more than {self.late_s:g} s."
        return ""

    def _is_first(self, call: OpenCall) -> bool:
        return call.caller not in self._running_of

    def _loser(self, call: OpenCall) -> OpenCall | None:
        """Return the call that gets no place if `call` asks for one; None if there is room."""
        if not self._most_queued:
            held = self._running_of.get(call.caller, 0) + len(self._queues.get(call.caller, ()))
            is_full = len(self._running) + self._queued >= self._at_once
            return call if is_full or held >= self._each else None
        if len(self._running) + self._queued < self._at_once + self._most_queued:
            return None
        longest = max(self._queues.values(), key=len, default=deque())
        is_longer = len(longest) > len(self._queues.get(call.caller, ())) + 1
        return longest[-1] if is_longer else call

    def _drop(self, call: OpenCall) -> None:
        queue = self._queues[call.caller]
        queue.remove(call)
        self._queued -= 1
        if not queue:
            del self._queues[call.caller]

    def _overloaded(self, call: OpenCall) -> ResourceExhausted:
        threads = self._at_once
        if self._most_queued:
            places = threads + self._most_queued
            text = f"{self.name} is overloaded: {places} calls running or queued."
            return ResourceExhausted(f"{text} Nothing was started; retry.", limit=str(places))
        if self._running_of.get(call.caller, 0) < self._each or not threads:
            text = f"All {threads} streams are in use. Nothing was started; retry."
            return ResourceExhausted(text, limit=str(threads))
        return ResourceExhausted(
            f"This caller has {self._each} of the {threads} streams of {self.name} and may have no "
            "more. Nothing was started; end others first.",
            limit=str(self._each),
        )

    def _work(self) -> None:
        while (call := self._next()) is not None:
            try:
                call.run()
            finally:
                self._leave(call)

    def _next(self) -> OpenCall | None:
        """Take the first call of the next caller that may hold a further thread."""
        with self._lock:
            for caller, queue in self._queues.items():  # noqa: B007 - used after the loop
                running = self._running_of.get(caller, 0)
                if running < self._each:
                    break
            else:
                return None
            call = queue[0]
            if not running and time.monotonic() - call.queued_at >= self.late_s:
                self._late_at = time.monotonic()
            self._drop(call)
            if queue:
                self._queues.move_to_end(caller)
            self._running[call] = None
            self._running_of[caller] = running + 1
            return call

    def _leave(self, call: OpenCall) -> None:
        with self._lock:
            del self._running[call]
            left = self._running_of.pop(call.caller) - 1
            if left:
                self._running_of[call.caller] = left


_TAKEN: Future[Any] = Future()
_TAKEN.set_result(None)
