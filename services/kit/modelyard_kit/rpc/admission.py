"""Admission of calls: what a peer must have sent before its call takes a thread or a place.

When the head of a call arrives, token and permission are checked, and a call without them is
refused. Then the request is received. Both happen in gRPC's event thread, which waits for nothing:
a token that is not in the snapshot is looked up on a thread of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import grpc
from google.protobuf.descriptor import MethodDescriptor

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit.auth import grants
from modelyard_kit.errors import (
    Error,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
)
from modelyard_kit.observability import request_ids, tracing
from modelyard_kit.observability.bounded_log import BoundedLog
from modelyard_kit.observability.metrics import rpc_duration, rpc_shed, rpc_stalled
from modelyard_kit.rpc.denials import Denials
from modelyard_kit.rpc.grpc_errors import CODES
from modelyard_kit.rpc.head import Head, head
from modelyard_kit.rpc.interceptors import log_call
from modelyard_kit.rpc.open_call import OpenCall
from modelyard_kit.rpc.places import RETRY_AFTER_S, Places
from modelyard_kit.rpc.waits import Waits

logger = logging.getLogger(__name__)

_ONCE = {"authorization", "idempotency-key", "x-modelyard-user"}
_BINARY = "authorization-bin"
_READ = _ONCE | {_BINARY, request_ids.HEADER, tracing.HEADER, grants.PERMISSION_ONLY[0]}
_REQUESTS = (64, 512)  # awaited at the same time, of one caller and of all; up to 8 MiB each
_REPLIES = (64 << 20, 256 << 20)  # bytes that peers have not read; one reply has up to 64 MiB
_LOOKUPS = 64  # calls with unknown tokens that wait for a newer snapshot
_CHECKS_PER_LIMIT = 5


class Door:
    """Opens the calls of a server, and ends those whose peers stall.

    Args:
        token: The service token; None for no authentication.
        api_tokens: Identifies API tokens; None to accept the service token only.
    """

    reply_s: ClassVar[float] = 30.0
    """How long a peer may take to read a reply, or a message of a stream."""

    def __init__(self, token: str | None, api_tokens: grants.ApiTokens | None) -> None:
        self._token = token
        self._api_tokens = api_tokens
        self._requests = Waits(OpenCall.request_s, *_REQUESTS)
        self._replies = Waits(self.reply_s, *_REPLIES)
        self._denials = Denials()
        self._stalls = BoundedLog(logger, "ended a call whose peer stalled")
        self._lookups = ThreadPoolExecutor(1, thread_name_prefix="token")
        self._looking_up = threading.BoundedSemaphore(_LOOKUPS)
        self._closed = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="stalled", daemon=True)

    def start(self) -> None:
        """End calls whose peers stall from now on."""
        self._watching.start()

    def close(self) -> None:
        """Stop, after the last call."""
        self._closed.set()
        if self._watching.is_alive():
            self._watching.join()
        self._lookups.shutdown()

    def head_of(self, method: MethodDescriptor, needed: Permission | None, metadata: Any) -> Head:
        """Return the head of a call, with a refusal if it is not admitted.

        Args:
            method: RPC that is called.
            needed: Permission that callers need; None if they need not even a token.
            metadata: Metadata of the call, in pairs.
        """
        found, problem = _read(metadata)
        request_id = request_ids.kept_or_new(found.get(request_ids.HEADER, ""))
        arrived = Head(method, needed, found, request_id, self._denials)
        try:
            if problem:
                raise InvalidArgument(problem)
            if needed is not None:
                authorization = found.get("authorization", "")
                arrived.grant = grants.identify_known(authorization, self._token, self._api_tokens)
                _require(arrived)
        except Error as error:
            arrived.refusal = error
        return arrived

    def opened(self, work: tuple[Any, ...], places: Places) -> None:
        """Go on with a call after its head; `work` is what gRPC runs it with."""
        call = OpenCall(work)
        call.on_end(self._forget)
        if call.head.refusal is not None:
            _refuse(call, call.head.refusal)
        elif call.head.grant is not None:
            self._admit(call, places)
        elif self._looking_up.acquire(blocking=False):
            self._lookups.submit(self._look_up, call, places)
        else:
            rpc_shed.labels("tokens").inc()
            full = ResourceExhausted(f"{_LOOKUPS} unknown tokens are being checked; retry.")
            call.refuse(full.after(RETRY_AFTER_S))

    def _look_up(self, call: OpenCall, places: Places) -> None:
        try:
            authorization = call.head.metadata.get("authorization", "")
            call.head.grant = grants.identify(
                authorization, self._token, self._api_tokens, call.head.arrived_at
            )
            _require(call.head)
        except Error as error:
            _refuse(call, error)
        else:
            self._admit(call, places)
        finally:
            self._looking_up.release()

    def _admit(self, call: OpenCall, places: Places) -> None:
        call.find_caller()

        def arrived() -> None:
            self._requests.end(call)
            if call.has_request:
                places.take(call)
            else:
                call.refuse_as_empty()

        for oldest in self._requests.begin(call):
            rpc_shed.labels("requests").inc()
            many = ResourceExhausted("Too many calls wait for their requests; retry.")
            oldest.refuse(many.after(RETRY_AFTER_S))
        call.receive(arrived)

    def guarding(
        self, behavior: Callable[..., Any], method: MethodDescriptor
    ) -> Callable[..., Any]:
        """Return a behavior whose replies must be read within a limit of time."""

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            reply = behavior(request, context)
            self._replying(_running(), reply)
            return reply

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            call = _running()
            for part in behavior(request, context):
                self._replying(call, part)
                yield part
                self._replies.end(call)

        return stream if method.server_streaming else unary

    def _replying(self, call: OpenCall, reply: bytes) -> None:
        for stalled in self._replies.begin(call, len(reply)):
            self._end_unread(stalled)

    def _watch(self) -> None:
        while not self._closed.wait(min(OpenCall.request_s, self.reply_s) / _CHECKS_PER_LIMIT):
            for call in self._requests.overdue():
                self._end(call)
            for call in self._replies.overdue():
                self._end_unread(call)

    def _end_unread(self, call: OpenCall) -> None:
        self._note_stall(call, "reply")
        call.cancel()

    def _end(self, call: OpenCall) -> None:
        self._note_stall(call, "request")
        call.refuse(call.late())
        self._replies.begin(call, 0)  # the peer may not read the status either

    def _note_stall(self, call: OpenCall, awaited: str) -> None:
        rpc_stalled.labels(awaited).inc()
        self._stalls.note(
            method=call.head.method.full_name,
            awaited=awaited,
            request=call.head.request_id,
            principal=call.head.principal,
        )

    def _forget(self, call: OpenCall) -> None:
        self._requests.end(call)
        self._replies.end(call)


class Admission(grpc.GenericRpcHandler):
    """Finds the handler of a method, and opens the call.

    Args:
        door: Door of the server.
        handlers: Handlers by name of the method.
        needed: Permissions by method; None if callers need not even a token.
    """

    def __init__(
        self,
        door: Door,
        handlers: Mapping[str, Any],
        needed: Mapping[MethodDescriptor, Permission | None],
    ) -> None:
        self._door = door
        self._mounted = {
            f"/{method.containing_service.full_name}/{method.name}": (
                handlers[method.name],
                method,
                permission,
            )
            for method, permission in needed.items()
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        mounted = self._mounted.get(handler_call_details.method)
        if mounted is None:
            return None
        handler, method, needed = mounted
        metadata = handler_call_details.invocation_metadata
        head.set(self._door.head_of(method, needed, metadata))
        return handler


def _read(metadata: Any) -> tuple[dict[str, str], str]:
    """Return the metadata that is read, by key, and the problem of it in a sentence, or ""."""
    found: dict[str, str] = {}
    problem = ""
    for key, value in metadata:
        if key not in _READ:
            continue
        if key in _ONCE and key in found:
            problem = f"The metadata has '{key}' twice, expected once."
        elif key == _BINARY:
            problem = f"The metadata has '{key}', expected the token as text in 'authorization'."
        found[key] = value
    return found, problem


def _running() -> OpenCall:
    """Return the call that this thread runs."""
    call = head.get().running
    if not isinstance(call, OpenCall):
        raise AssertionError("no thread runs this call")  # noqa: TRY004 - a bug, whatever the type
    return call


def _require(arrived: Head) -> None:
    if arrived.grant is not None and arrived.needed is not None:
        grants.require(arrived.grant, arrived.method, arrived.needed)


def _refuse(call: OpenCall, error: Error) -> None:
    refused, code = call.head, CODES[type(error)].name
    method = refused.method
    seconds = time.monotonic() - refused.arrived_at
    rpc_duration.labels(method.containing_service.name, method.name, code).observe(seconds)
    refused.note_denial(error)
    if isinstance(error, PermissionDenied):  # lines without a valid token would be unbounded
        log_call(method, code, seconds, request=refused.request_id, principal=refused.principal)
    call.refuse(error)
