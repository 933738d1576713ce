"""Follows the changes of a registered model."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from modelyard import _wire
from modelyard._transport import connections, rpc
from modelyard._transport.failures import Failure
from modelyard._transport.quiet_grpc import grpc
from modelyard.api.registry.v1 import registry_pb2 as pb
from modelyard.entities.model_registry import ModelEvent

_UNREACHABLE_S = 300.0
_PAUSE_S = 1.0

logger = logging.getLogger("modelyard")


class Watch(Iterator[ModelEvent]):
    """Changes of a model as they happen; `MlflowClient.watch` makes it.

    A broken stream is opened again after the last revision: no change is missed or repeated.

    Args:
        address: Returns the address of the registry; None for the local home.
        name: Name of the model.
        after_revision: Revision to begin after.
        timeout_s: Duration of the watch in seconds; None for no end.
    """

    def __init__(
        self,
        address: Callable[[], str | None],
        name: str,
        after_revision: int,
        timeout_s: float | None,
    ) -> None:
        self._address = address
        self._name = name
        self.revision = after_revision
        """Revision of the last change that was returned."""
        self._ends_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._reached_s = time.monotonic()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._stream: Any = None
        self._connection: connections.Connection | None = None

    def __repr__(self) -> str:
        return f"Watch({self._name!r}, revision={self.revision})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration, also one that another thread is waiting in."""
        with self._lock:
            self._closed.set()
            if self._stream is not None:
                self._stream.cancel()

    def __next__(self) -> ModelEvent:
        while not self._has_ended():
            try:
                message = next(self._opened(), None)
            except grpc.RpcError as error:
                self._recover(error)
                continue
            if message is None:  # the server is stopping
                self._pause()
                continue
            self._reached_s = time.monotonic()
            if message.HasField("event"):
                self.revision = message.event.revision
                return _wire.model_event(message.event)
        self.close()
        raise StopIteration

    def _has_ended(self) -> bool:
        is_over = self._ends_s is not None and time.monotonic() >= self._ends_s
        return is_over or self._closed.is_set()

    def _left_s(self) -> float | None:
        return None if self._ends_s is None else max(self._ends_s - time.monotonic(), 0.001)

    def _opened(self) -> Iterator[pb.WatchModelsResponse]:
        if self._stream is None:
            request = pb.WatchModelsRequest(name=self._name, after_revision=self.revision)
            self._connection = connections.connect(self._address())
            stream = rpc.stream(
                self._connection, request, pb.WatchModelsResponse, timeout_s=self._left_s()
            )
            with self._lock:
                self._stream = stream
                if self._closed.is_set():
                    stream.cancel()
        opened: Iterator[pb.WatchModelsResponse] = self._stream
        return opened

    def _recover(self, error: Any) -> None:
        """Prepare to open the stream again, unless it was ended here, or raise what ended it."""
        if self._has_ended() or error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            self._closed.set()
            return
        failure = Failure(error)
        assert self._connection is not None  # noqa: S101 - a stream was opened
        unreachable_s = time.monotonic() - self._reached_s
        if not failure.may_pass or unreachable_s > _UNREACHABLE_S:
            self._closed.set()
            raise failure.exception(
                self._connection.uri, unreachable_s, may_be_done=False
            ) from None
        logger.info("the watch of %s was interrupted; it is opened again", self._name)
        if failure.is_of_transport:
            connections.look_again(self._connection, _PAUSE_S)
        self._pause()

    def _pause(self) -> None:
        self._stream = None
        left_s = self._left_s()
        self._closed.wait(_PAUSE_S if left_s is None else min(_PAUSE_S, left_s))
