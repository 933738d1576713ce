"""A call from the arrival of its head to its end, with or without a thread.

gRPC for Python reads a request inside the thread that runs the call, which a peer that sends none
could hold for as long as it likes. Here the request is received before the call takes a thread.
This is the only module that uses gRPC's internals, `grpc._server`, which hands a pool of threads
all it needs to run a call; pyproject.toml has the newest version that this was tested with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from grpc import _common
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # missing from the stubs
from grpc._server import (  # by name, so that no server starts if one is missing
    _RECEIVE_MESSAGE_TOKEN,
    _abort,
    _is_rpc_state_active,
    _receive_message,
)

from modelyard_kit import errors
from modelyard_kit.rpc import grpc_errors
from modelyard_kit.rpc.head import Head, head

_NO_FLAGS = 0
_NO_REQUEST = b'"%s" requires exactly one request message.'  # gRPC's own text


class OpenCall:
    """A call that a peer has opened.

    Args:
        work: What gRPC gives to a pool of threads to run the call with.

    Attributes:
        head: Head of the call.
        caller: Who holds what the call takes: the principal; with a connection where callers share
            one, which are those with the service token, and those of a server without a token.
        is_over: Whether the call has ended on the wire.
        queued_at: Monotonic time at which the request was complete, in seconds.
    """

    __slots__ = (
        "_behavior",
        "_event",
        "_rest",
        "_run",
        "_state",
        "_target",
        "caller",
        "head",
        "is_over",
        "queued_at",
    )

    request_s: ClassVar[float] = 5.0
    """How long a request may take to arrive, from its head or from the message before it."""

    def __init__(self, work: tuple[Any, ...]) -> None:
        self._run, self._target, self._event, self._state, self._behavior = work[:5]
        self._rest = work[6:]
        self.head: Head = self._state.context[head]
        self.caller = ""
        self.is_over = False
        self.queued_at = 0.0

    def on_end(self, ended: Callable[[OpenCall], None]) -> None:
        """Call `ended` in gRPC's event thread when the call has ended on the wire."""

        def end() -> None:
            self.is_over = True
            ended(self)

        with self._state.condition:
            self._state.callbacks.append(end)

    def find_caller(self) -> None:
        """Set `caller` by the grant."""
        grant = self.head.admitted
        self.caller = grant.principal
        if not grant.name:
            self.caller += f" {_common.decode(self._event.call.peer())}"

    @property
    def is_active(self) -> bool:
        """Whether the peer still waits for a reply."""
        with self._state.condition:
            return bool(_is_rpc_state_active(self._state))

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
        finish = _receive_message(state, call, self._rest[0])

        def received(event: Any) -> Any:
            result = finish(event)
            then()
            return result

        with state.condition:
            if not _is_rpc_state_active(state):
                then()
                return
            call.start_server_batch((cygrpc.ReceiveMessageOperation(_NO_FLAGS),), received)
            state.due.add(_RECEIVE_MESSAGE_TOKEN)

    @property
    def has_request(self) -> bool:
        """Whether a message has arrived, or is not needed to run the call."""
        return self._state.request is not None or (
            self.head.method.client_streaming and self.is_active
        )

    def refuse(self, error: errors.Error) -> None:
        """End the call with the status of an error, unless it has ended."""
        code, message, trailing = grpc_errors.status_of(error, self.head.request_id)
        self._end(_common.STATUS_CODE_TO_CYGRPC_STATUS_CODE[code], message.encode(), trailing)

    def refuse_as_empty(self) -> None:
        """End a call of one request whose peer sent none, with gRPC's own status."""
        name = f"/{self.head.method.containing_service.full_name}/{self.head.method.name}"
        self._end(cygrpc.StatusCode.unimplemented, _NO_REQUEST % name.encode(), ())

    def _end(self, code: Any, message: bytes, trailing: tuple[Any, ...]) -> None:
        with self._state.condition:
            if _is_rpc_state_active(self._state):
                self._state.trailing_metadata = trailing
                _abort(self._state, self._event.call, code, message)
                self._state.condition.notify_all()

    def cancel(self) -> None:
        """End the call without a status; a thread that waits for its peer goes on."""
        self._event.call.cancel()

    def run(self) -> None:
        """Run the call on this thread, with the request that was received."""
        self.head.running = self
        try:
            self._run(
                *(self._target, self._event, self._state, self._behavior, self._request),
                *self._rest,
            )
        finally:
            self.head.running = None

    def _request(self) -> Any:
        if self.head.method.client_streaming:
            return self._messages()
        with self._state.condition:
            return self._taken() if _is_rpc_state_active(self._state) else None

    def _taken(self) -> Any:
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
