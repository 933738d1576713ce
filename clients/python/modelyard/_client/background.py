"""Logging in the background, `synchronous=False`: a queue in memory and a thread that sends it."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelyard._environment import setting
from modelyard._processes import at_exit, in_forked_child
from modelyard.exceptions import DeadlineExceeded, InvalidState, ModelyardException, Unavailable

if TYPE_CHECKING:
    from google.protobuf.message import Message

_MAX_WAITING = 100_000
"""Calls that may wait in memory; when there are more, logging waits until some are sent."""
_MAX_POINTS = 1000
"""Points that are sent in one call; when it is refused, each is sent alone."""
_MAX_FAILURES = 1000
"""Failures that are kept for `flush`; more are only counted."""

_logger = logging.getLogger("modelyard")


def is_synchronous(synchronous: bool | None) -> bool:  # noqa: FBT001 - MLflow's argument
    """Whether to log before returning: as given, or as `MLFLOW_ENABLE_ASYNC_LOGGING` says."""
    if synchronous is not None:
        return synchronous
    return (setting("ENABLE_ASYNC_LOGGING") or "").lower() not in {"true", "1"}


class RunOperations:
    """What was logged in the background by one call.

    Args:
        operations: The calls to the server.
    """

    def __init__(self, operations: Sequence[Future[None]]) -> None:
        self._operations = operations
        self._pid = os.getpid()

    def wait(self) -> None:
        """Wait until everything is stored.

        Raises:
            ModelyardException: Something was refused, or the server stayed away; the first failure.
            InvalidState: A parent process sends it.
        """
        if os.getpid() != self._pid:
            raise InvalidState("This was logged by the parent process; only there it can wait.")
        failures = [done.exception() for done in self._operations]
        _queue.seen(self._operations)
        for failure in failures:
            if failure is not None:
                raise failure


@dataclass(frozen=True, slots=True)
class _Item:
    uri: str | None
    request: Any
    reply: type[Message]
    done: Future[None] = field(default_factory=Future)


class _Queue:
    """Calls in the order in which they were made, and the thread that sends them."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew; in a forked child, since the parent sends what it has."""
        self._changed = threading.Condition()
        self._waiting: deque[_Item] = deque()
        self._unfinished = 0
        self._finished = 0
        self._thread: threading.Thread | None = None
        self._failures: dict[Future[None], BaseException] = {}
        self._more_failures = 0

    def add(self, item: _Item) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _MAX_WAITING)
            self._waiting.append(item)
            self._unfinished += 1
            if self._thread is None:
                at_exit(_flush_at_exit)
                self._thread = threading.Thread(
                    target=self._work, name="modelyard-logging", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def flush(self, limit_s: float | None) -> int:
        """Wait until everything was sent, and return how much was not.

        Args:
            limit_s: Maximum time without progress, seconds; None for that of each call.
        """
        with self._changed:
            while self._unfinished:
                before = self._finished
                if not self._changed.wait_for(lambda: self._finished != before, limit_s):  # noqa: B023 - called at once
                    break
            return self._unfinished

    def seen(self, operations: Iterable[Future[None]]) -> None:
        """Forget failures that a caller has seen."""
        with self._changed:
            for done in operations:
                self._failures.pop(done, None)

    def failures(self) -> tuple[BaseException | None, int]:
        """Return the first failure that no caller has seen, and their number."""
        with self._changed:
            count = len(self._failures) + self._more_failures
            first = next(iter(self._failures.values()), None)
            self._failures.clear()
            self._more_failures = 0
            return first, count

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                items = self._taken()
                self._changed.notify_all()
            for item, failure in _sent(items):
                self._finish(item, failure)

    def _taken(self) -> list[_Item]:
        """Take the first call, or the first points of one run, which fit into one call."""
        taken = [self._waiting.popleft()]
        while (
            self._waiting
            and len(taken) < _MAX_POINTS
            and _is_point(taken[0])
            and _is_point(self._waiting[0])
            and self._waiting[0].uri == taken[0].uri
            and self._waiting[0].request.run_id == taken[0].request.run_id
        ):
            taken.append(self._waiting.popleft())
        return taken

    def _finish(self, item: _Item, failure: BaseException | None) -> None:
        if failure is None:
            item.done.set_result(None)
        else:
            item.done.set_exception(failure)
        with self._changed:
            if failure is not None and len(self._failures) < _MAX_FAILURES:
                self._failures[item.done] = failure
            elif failure is not None:
                self._more_failures += 1
            self._unfinished -= 1
            self._finished += 1
            self._changed.notify_all()


def _is_point(item: _Item) -> bool:
    return bool(item.request.DESCRIPTOR.name == "LogMetricRequest")


def _sent(items: Sequence[_Item]) -> Iterable[tuple[_Item, BaseException | None]]:
    """Send calls and yield each with its failure; points are sent together if there are several."""
    if len(items) > 1:
        failure = _failure_of(_together(items))
        if failure is None or isinstance(failure, Unavailable | DeadlineExceeded):
            for item in items:
                yield item, failure
            return
        # One of them is refused; the others are not to be lost with it.
    for item in items:
        yield item, _failure_of(item)


def _together(items: Sequence[_Item]) -> _Item:
    from modelyard._client.points import series_of
    from modelyard.api.tracking.v1 import tracking_pb2 as pb

    series = series_of(item.request for item in items)
    batch = pb.LogBatchRequest(run_id=items[0].request.run_id, series=series)
    return _Item(items[0].uri, batch, pb.LogBatchResponse)


def _failure_of(item: _Item) -> BaseException | None:
    from modelyard._transport import rpc

    try:
        answered = rpc.call(item.uri, item.request, item.reply)
        for warning in getattr(answered, "warnings", ()):
            _logger.warning("%s", warning)  # the line that logged it is not on this thread's stack
    except ModelyardException as failure:
        return failure
    except Exception as failure:  # noqa: BLE001 - the thread must go on; `wait` raises it
        return failure
    return None


_queue = _Queue()
in_forked_child(_queue.reset)


def submit(uri: str | None, requests: Sequence[tuple[Any, type[Message]]]) -> RunOperations:
    """Queue calls to a server, each a request with the type of its reply."""
    items = [_Item(uri, request, reply) for request, reply in requests]
    for item in items:
        _queue.add(item)
    return RunOperations([item.done for item in items])


def flush() -> None:
    """Wait until everything that was logged in the background is stored.

    Raises:
        ModelyardException: Something was refused, or the server stayed away, and no `wait` has
            raised it; the first failure.
    """
    _queue.flush(None)
    first, count = _queue.failures()
    if first is None:
        return
    if count > 1:
        first.add_note(f"{count - 1} more that was logged in the background failed.")
    raise first


def flush_before_end(limit_s: float) -> None:
    """Wait for what was logged in the background before a run ends; report what is lost.

    Args:
        limit_s: Maximum time without progress, seconds.
    """
    left = _queue.flush(limit_s)
    first, count = _queue.failures()
    if first is not None:
        _logger.warning("%d calls that logged in the background failed; first: %s", count, first)
    if left:
        _logger.warning("%d calls that log in the background are not sent: no answer.", left)


def _flush_at_exit() -> None:
    from modelyard._transport import rpc

    flush_before_end(rpc.DEADLINE_S)
