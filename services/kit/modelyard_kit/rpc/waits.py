"""Waits for peers: each has a limit of time, and each caller a limit of waits at the same time."""

from __future__ import annotations

import threading
import time

from modelyard_kit.rpc.open_call import OpenCall


class Waits:
    """The calls that wait for their peers in one way.

    A wait is over in milliseconds unless the peer stalls. The oldest wait of a caller that has too
    many, or of all if there are too many, is therefore that of a peer that stalls.

    Args:
        limit_s: Longest wait, in seconds.
        each: Weight of the waits that one caller may have.
        total: Weight of the waits of all callers.
    """

    def __init__(self, limit_s: float, each: int, total: int) -> None:
        self.limit_s = limit_s
        self._each = each
        self._total = total
        self._lock = threading.Lock()
        self._waiting: dict[OpenCall, tuple[float, int]] = {}
        self._weights: dict[str, int] = {}
        self._weight = 0

    def begin(self, call: OpenCall, weight: int = 1) -> list[OpenCall]:
        """Note that a call waits from now on; return the calls that must end for it."""
        with self._lock:
            if call.is_over:
                return []
            ended = self._oldest_beyond(call.caller, weight)
            self._waiting[call] = (time.monotonic(), weight)
            self._weights[call.caller] = self._weights.get(call.caller, 0) + weight
            self._weight += weight
            if call.is_over:  # `end` may have looked before the line above
                self._remove(call)
            return ended

    def end(self, call: OpenCall) -> None:
        """Note that a call does not wait any more; without effect if it did not."""
        if call in self._waiting:  # most calls do not wait at their end, and need no lock
            with self._lock:
                self._remove(call)

    def overdue(self) -> list[OpenCall]:
        """Return the calls that have waited for too long, and forget them."""
        with self._lock:
            since = time.monotonic() - self.limit_s
            found = [call for call, (begun, _) in self._waiting.items() if begun <= since]
            for call in found:
                self._remove(call)
            return found

    def _oldest_beyond(self, caller: str, weight: int) -> list[OpenCall]:
        ended: list[OpenCall] = []
        while self._weights.get(caller, 0) > max(0, self._each - weight):
            ended.append(next(call for call in self._waiting if call.caller == caller))
            self._remove(ended[-1])
        while self._waiting and self._weight + weight > self._total:
            ended.append(next(iter(self._waiting)))
            self._remove(ended[-1])
        return ended

    def _remove(self, call: OpenCall) -> None:
        found = self._waiting.pop(call, None)
        if found is not None:
            self._weight -= found[1]
            left = self._weights.pop(call.caller, 0) - found[1]  # no entry if all weigh nothing
            if left:
                self._weights[call.caller] = left
