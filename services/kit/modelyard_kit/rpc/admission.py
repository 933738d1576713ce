"""Admission control: limits on running and queued calls; calls beyond them are refused at once.

Each service has its own executor, so that an overloaded service does not affect the others, nor the
health checks.
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

RETRY_AFTER_S = 1.0
_QUEUED_PER_THREAD = 4


class BoundedExecutor(ThreadPoolExecutor):
    """The threads and the bounded queue of one service.

    Args:
        threads: Number of calls that run at once; four times as many may be queued.
        name: Name of the service.

    Attributes:
        capacity: Number of calls that may run or be queued.
    """

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self.name = name
        self.capacity = threads * (1 + _QUEUED_PER_THREAD)
        self._admitted = 0
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether further calls must be refused."""
        return self._admitted >= self.capacity

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with self._lock:
            self._admitted += 1
        future = super().submit(call, *args, **kwargs)
        future.add_done_callback(self._leave)
        return future

    def _leave(self, _: Future[Any]) -> None:
        with self._lock:
            self._admitted -= 1


class Admission(grpc.GenericRpcHandler):
    """Finds the handler of a method, or one that refuses while the executor is full.

    Args:
        service: Full name of the service.
        handlers: Handlers by method name.
        executor: Runs unary calls; streams have a limit of their own.
        refusing: Threads on which calls are refused.
    """

    def __init__(
        self,
        service: str,
        handlers: Mapping[str, Any],
        executor: BoundedExecutor,
        refusing: ThreadPoolExecutor,
    ) -> None:
        self._handlers = {f"/{service}/{name}": handler for name, handler in handlers.items()}
        self._executor = executor
        # Declared as client streaming, so that gRPC does not read the requests that are refused.
        self._refusal: Any = grpc.stream_unary_rpc_method_handler(_refusal(executor, refusing))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        handler = self._handlers.get(handler_call_details.method)
        if handler is None or handler.response_streaming or not self._executor.is_full:
            return handler
        return self._refusal


def _refusal(executor: BoundedExecutor, refusing: ThreadPoolExecutor) -> Callable[..., NoReturn]:
    def refuse(_requests: Iterator[Any], context: grpc.ServicerContext) -> NoReturn:
        rpc_shed.labels("calls").inc()
        overloaded = ResourceExhausted(
            f"{executor.name} is overloaded: {executor.capacity} calls running or queued. Nothing "
            "was started; retry.",
            limit=str(executor.capacity),
        )
        grpc_errors.abort(context, overloaded.after(RETRY_AFTER_S), uuid.uuid4().hex)

    refuse.experimental_thread_pool = refusing  # type: ignore[attr-defined]  # read by grpc
    return refuse
