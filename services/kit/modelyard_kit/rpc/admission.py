"""How many calls of a service may run and wait; what comes beyond is refused before it starts.

Each service has its own places, so that one with too much to do leaves the others, and the health
of all, alone.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NoReturn

import grpc

from modelyard_kit.errors import ResourceExhausted
from modelyard_kit.observability.metrics import rpc_shed
from modelyard_kit.rpc import grpc_errors

AGAIN_AFTER_S = 1.0
_QUEUED_PER_THREAD = 4


class BoundedExecutor(ThreadPoolExecutor):
    """Threads for the calls of one service, and a bounded queue before them.

    Args:
        threads: How many calls run; four times as many may wait.
        name: Of the service.
    """

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self.name = name
        self.count = threads * (1 + _QUEUED_PER_THREAD)
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def are_taken(self) -> bool:
        return self._taken >= self.count

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with self._lock:
            self._taken += 1
        future = super().submit(call, *args, **kwargs)
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: Future[Any]) -> None:
        with self._lock:
            self._taken -= 1


class Admission(grpc.GenericRpcHandler):
    """Finds the handler of a method, or the one that refuses when all places are taken.

    Args:
        service: The full name.
        handlers: By the names of its methods.
        places: For its unary calls; streams have a cap of their own.
        refusing: Threads on which calls are refused.
    """

    def __init__(
        self,
        service: str,
        handlers: Mapping[str, Any],
        places: BoundedExecutor,
        refusing: ThreadPoolExecutor,
    ) -> None:
        self._handlers = {f"/{service}/{name}": handler for name, handler in handlers.items()}
        self._places = places
        # As if it took a stream: what it refuses it does not read.
        self._refusal: Any = grpc.stream_unary_rpc_method_handler(_refusal(places, refusing))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        handler = self._handlers.get(handler_call_details.method)
        if handler is None or handler.response_streaming or not self._places.are_taken:
            return handler
        return self._refusal


def _refusal(places: BoundedExecutor, refusing: ThreadPoolExecutor) -> Callable[..., NoReturn]:
    def refuse(_requests: Iterator[Any], context: grpc.ServicerContext) -> NoReturn:
        rpc_shed.labels("calls").inc()
        full = ResourceExhausted(
            f"{places.name} has too much to do: {places.count} calls run or wait. Nothing was "
            "started; try again.",
            limit=str(places.count),
        )
        grpc_errors.abort(context, full.after(AGAIN_AFTER_S), uuid.uuid4().hex)

    refuse.experimental_thread_pool = refusing  # type: ignore[attr-defined]  # read by grpc
    return refuse
