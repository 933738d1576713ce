"""A call from the arrival of its head to its end, with or without a thread.

gRPC for Python reads a request inside the thread that runs the call, which a peer that sends none
could hold for as long as it likes. Here the request is received before the call takes a thread.
This is the only module that uses gRPC's internals, `grpc._server`, which hands a pool of threads
all it needs to run a call; pyproject.toml has the newest version that this was tested with.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, ClassVar

from google.protobuf.descriptor import MethodDescriptor
from grpc import _common, _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # missing from the stubs

from modelyard.api.options.v1.options_pb2 import Permission
from modelyard_kit import errors
from modelyard_kit.auth.grants import ANONYMOUS, SERVICES, Grant
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.denials import Denials

_SHARED = (ANONYMOUS, SERVICES)
"""Grants that many callers have."""
_NO_FLAGS = 0
_NO_REQUEST = b'"%s" requires exactly one request message.'  # gRPC's own text


class OpenCall:
    """A call that a peer has opened.

    Args:
        method: RPC that is called.
        needed: Permission that callers need; None if they need not even a token.
        metadata: Metadata that the interceptors read, by key.
        request_id: Id of the request.
        denials: Notes refusals because of the caller.

    Attributes:
        grant: Grant of the caller; None if its token is not in the snapshot, and must be looked up.
        caller: Who holds what the call takes: the principal; with a connection where callers share
            one, which are those with the service token, and those of a server without a token.
        is_over: Whether the call has ended on the wire.
        refusal: Error that the call ends with, instead of taking a place; None if it may go on.
        arrived_at: Monotonic time at which the head arrived, in seconds.
        queued_at: Monotonic time at which the request was complete, in seconds.
    """

    __slots__ = (
        "_behavior",
        "_denials",
        "_event",
        "_rest",
        "_run",
        "_state",
        "_target",
        "arrived_at",
        "caller",
        "grant",
        "is_over",
        "metadata",
        "method",
        "needed",
        "queued_at",
        "refusal",
        "request_id",
    )

    _run: Any
    _target: Any
    _event: Any
    _state: Any
    _behavior: Any
    _rest: tuple[Any, ...]

    request_s: ClassVar[float] = 5.0
    """How long a request may take to arrive, from its head or from the message before it."""

    def __init__(
        self,
        method: MethodDescriptor,
        needed: Permission | None,
        metadata: Mapping[str, str],
        request_id: str,
        denials: Denials,
    ) -> None:
        self.method = method
        self.needed = needed
        self.metadata = metadata
        self.request_id = request_id
        self._denials = denials
        self.grant: Grant | None = ANONYMOUS
        self.caller = ""
        self.refusal: errors.Error | None = None
        self.is_over = False
        self.arrived_at = time.monotonic()
        self.queued_at = 0.0

    @staticmethod
    def of(work: tuple[Any, ...]) -> OpenCall:
        """Return the call that gRPC gives to a pool: the arguments of its call of `submit`."""
        call: OpenCall = work[3].context[open_call]
        call._run, call._target, call._event, call._state, call._behavior = work[:5]
        call._rest = work[6:]
        return call

    def on_end(self, ended: Callable[[OpenCall], None]) -> None:
        """Call `ended` in gRPC's event thread when the call has ended on the wire."""

        def end() -> None:
            self.is_over = True
            ended(self)

        with self._state.condition:
            self._state.callbacks.append(end)

    @property
    def principal(self) -> str:
        """Name of the caller for logs."""
        return "" if self.grant is None else self.grant.name or self.grant.principal

    @property
    def admitted(self) -> Grant:
        """Grant of the caller, once it is known."""
        if self.grant is None:
            raise AssertionError(f"{self.method.full_name} runs for an unknown caller")
        return self.grant

    def find_caller(self) -> None:
        """Set `caller` by the grant."""
        grant = self.admitted
        self.caller = grant.principal
        if grant in _SHARED:
            self.caller += f" {_common.decode(self._event.call.peer())}"

    @property
    def is_active(self) -> bool:
        """Whether the peer still waits for a reply."""
        with self._state.condition:
            return bool(_server._is_rpc_state_active(self._state))  # noqa: SLF001 - as the module

    def late(self) -> errors.DeadlineExceeded:
        """Return the error of a call whose request did not arrive in time."""
        return errors.DeadlineExceeded(
            f"The request did not arrive within {self.request_s:g} s. Nothing was started."
        )

    def receive(self, then: Callable[[], object]) -> None:
        """Receive the next message without a thread; `request` has it afterwards.

        Args:
            then: Called in gRPC's event thread when the message, or the end, has arrived.
        """
        state, call = self._state, self._event.call
        finish = _server._receive_message(state, call, self._rest[0])  # noqa: SLF001 - as the module

        def received(event: Any) -> Any:
            result = finish(event)
            then()
            return result

        with state.condition:
            if not _server._is_rpc_state_active(state):  # noqa: SLF001 - as the module
                then()
                return
            call.start_server_batch((cygrpc.ReceiveMessageOperation(_NO_FLAGS),), received)
            state.due.add(_server._RECEIVE_MESSAGE_TOKEN)  # noqa: SLF001 - as the module

    @property
    def has_request(self) -> bool:
        """Whether a message has arrived, or is not needed to run the call."""
        return self._state.request is not None or (self.method.client_streaming and self.is_active)

    def note_denial(self, error: Exception) -> None:
        """Note the failure of the call, if it is a refusal because of the caller."""
        authorization = self.metadata.get("authorization", "")
        self._denials.note(error, self.method.full_name, self.request_id, authorization)

    def refuse(self, error: errors.Error) -> None:
        """End the call with the status of an error, unless it has ended."""
        code, message, trailing = grpc_errors.status_of(error, self.request_id)
        self._end(_common.STATUS_CODE_TO_CYGRPC_STATUS_CODE[code], message.encode(), trailing)

    def refuse_as_empty(self) -> None:
        """End a call of one request whose peer sent none, with gRPC's own status."""
        name = f"/{self.method.containing_service.full_name}/{self.method.name}"
        self._end(cygrpc.StatusCode.unimplemented, _NO_REQUEST % name.encode(), ())

    def _end(self, code: Any, message: bytes, trailing: tuple[Any, ...]) -> None:
        with self._state.condition:
            if _server._is_rpc_state_active(self._state):  # noqa: SLF001 - as the module
                self._state.trailing_metadata = trailing
                _server._abort(self._state, self._event.call, code, message)  # noqa: SLF001 - as above
                self._state.condition.notify_all()

    def cancel(self) -> None:
        """End the call without a status; a thread that waits for its peer goes on."""
        self._event.call.cancel()

    def run(self) -> None:
        """Run the call on this thread, with the request that was received."""
        self._run(
            *(self._target, self._event, self._state, self._behavior, self._request),
            *self._rest,
        )

    def _request(self) -> Any:
        if self.method.client_streaming:
            return self._messages()
        return self._taken() if self.is_active else None

    def _taken(self) -> Any:
        with self._state.condition:
            message, self._state.request = self._state.request, None
            return message

    def _messages(self) -> Iterator[Any]:
        message = self._taken()
        while message is not None:
            yield message
            arrived = threading.Event()
            self.receive(arrived.set)
            if not arrived.wait(self.request_s):
                raise self.late()
            message = self._taken()


open_call: ContextVar[OpenCall] = ContextVar("open_call")
"""The call that is answered; set when its head arrives, in the context that gRPC runs it in."""
