"""One call of one RPC and its transaction.

A method of one transaction is decorated with `reads` or `writes`. It is then called as gRPC calls
it, with the request and gRPC's context, and receives the request and a `Call` with an open session;
the transaction is committed when the method returns and rolled back when it raises:

    @writes
    def DeleteRun(self, request, call):
        runs.delete_run(call.session, request.run_id)
        return pb.DeleteRunResponse()

`fast_reads` and `fast_writes` are the same on the driver's connection, for the RPCs that users wait
for: their methods receive a `FastCall`.

A method that calls another service or the store between its transactions is not decorated itself.
It calls decorated steps: any number with `write_step`, and at most one with `writes`, whose reply
is that of the call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import grpc
from google.protobuf.message import Message
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Conflict, Database, OutcomeUnknown
from modelyard_kit.db.rows import Rows, rows_of
from modelyard_kit.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unavailable,
)
from modelyard_kit.observability.metrics import tx_retries
from modelyard_kit.rpc import idempotency
from modelyard_kit.rpc.caller import Caller, caller

_ATTEMPTS = 4  # of a transaction that conflicts with others
_DECIDED = (Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound)
"""Errors that an operation raises because of the rows it read."""

_answered: ContextVar[Caller | None] = ContextVar("answered", default=None)
"""The call that entered `writes` last."""


@dataclass(frozen=True, slots=True)
class Call:
    """The context of an operation.

    Attributes:
        session: Session with an open transaction.
        actor: Name of the caller that history records.
        request_id: Id of the request.
        now_ms: Time of the operation, Unix time in milliseconds.
    """

    session: Session
    actor: str
    request_id: str
    now_ms: int

    @property
    def rows(self) -> Rows:
        """The rows of the transaction, on the driver's connection."""
        return rows_of(self.session)


@dataclass(frozen=True, slots=True)
class FastCall:
    """The context of an operation in a transaction on the driver's connection.

    Attributes:
        rows: Rows of the transaction.
        actor: As in `Call`, as are `request_id` and `now_ms`.
    """

    rows: Rows
    actor: str
    request_id: str
    now_ms: int


class OnRows(Protocol):
    """A call whose operation works on rows: a `FastCall`, or a `Call` that has a session too."""

    @property
    def rows(self) -> Rows: ...
    @property
    def actor(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def now_ms(self) -> int: ...


class Servicer(Protocol):
    """The attributes of a servicer that `reads`, `writes` and `write_step` use."""

    database: Database
    clock: Clock


S = TypeVar("S", bound=Servicer)
Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)
Result = TypeVar("Result")
AnyCall = TypeVar("AnyCall", Call, FastCall)
P = ParamSpec("P")


def reads(
    method: Callable[Concatenate[S, Request, Call, P], Reply],
) -> Callable[Concatenate[S, Request, grpc.ServicerContext, P], Reply]:
    """Run the method in one read-only transaction, so that its reply is a consistent snapshot.

    Args:
        method: Takes the request, a `Call` and any further arguments; returns the reply.

    Returns:
        The method with gRPC's context in place of the `Call`.
    """

    def handle(
        self: S,
        request: Request,
        context: grpc.ServicerContext,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Reply:
        current = caller.get()
        has_ended = _ends(current, context)
        with self.database.read(current.remaining_s(), has_ended) as session:
            call = Call(session, current.actor, current.request_id, self.clock())
            return method(self, request, call, *args, **kwargs)

    return handle


def fast_reads(
    method: Callable[Concatenate[S, Request, FastCall, P], Reply],
) -> Callable[Concatenate[S, Request, grpc.ServicerContext, P], Reply]:
    """Run the method like `reads`, in a transaction on the driver's connection."""

    def handle(
        self: S,
        request: Request,
        context: grpc.ServicerContext,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Reply:
        current = caller.get()

        def replied(rows: Rows) -> Reply:
            call = FastCall(rows, current.actor, current.request_id, self.clock())
            return method(self, request, call, *args, **kwargs)

        return self.database.fast_read(
            replied, current.remaining_s(), _ends(current, context), current.grant.scope
        )

    return handle


def writes(
    method: Callable[Concatenate[S, Request, Call, P], Reply],
) -> Callable[Concatenate[S, Request, grpc.ServicerContext, P], Reply]:
    """Run the method in one read-write transaction, once per idempotency key.

    The first reply to a key is stored in the same transaction and returned to a retry; the key with
    another request is refused. RPCs that are idempotent by nature ignore the key. A method that
    conflicts with another transaction is run again, so it must change nothing but the database.

    Args:
        method: Takes the request, a `Call` and any further arguments; returns the reply.

    Returns:
        The method with gRPC's context in place of the `Call`. It raises AssertionError when it is
        entered a second time in a call of an RPC that is not idempotent: the key has one reply, so
        a retry would get the reply of the first step in the second. Use `write_step` for the
        other steps.
    """
    return _keyed(method, _written)


def fast_writes(
    method: Callable[Concatenate[S, Request, FastCall, P], Reply],
) -> Callable[Concatenate[S, Request, grpc.ServicerContext, P], Reply]:
    """Run the method like `writes`, in a transaction on the driver's connection.

    It may run on the thread of another call, with the context variables of its own.
    """
    return _keyed(method, _fast_written)


def _keyed(
    method: Callable[Concatenate[S, Request, AnyCall, P], Reply],
    written: Callable[[S, grpc.ServicerContext, Callable[[AnyCall], Reply]], Reply],
) -> Callable[Concatenate[S, Request, grpc.ServicerContext, P], Reply]:
    def handle(
        self: S,
        request: Request,
        context: grpc.ServicerContext,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Reply:
        _enter_once(caller.get())
        key = caller.get().key(request)

        def replied(call: AnyCall) -> Any:
            if key is None:
                return method(self, request, call, *args, **kwargs)
            stored = idempotency.find(call.rows, key)
            if stored is not None:
                return stored
            reply = method(self, request, call, *args, **kwargs)
            idempotency.store_reply(call.rows, key, reply, call.now_ms)
            return reply

        try:
            return written(self, context, replied)
        except (*_DECIDED, OutcomeUnknown) as failure:
            return _first_reply(self, request, failure)  # type: ignore[no-any-return]  # of the RPC's reply type

    return handle


def write_step(
    method: Callable[Concatenate[S, Call, P], Result],
) -> Callable[Concatenate[S, grpc.ServicerContext, P], Result]:
    """Run the method in one read-write transaction that is a part of a call.

    Nothing is stored under the call's idempotency key: a retry runs the step again.

    Args:
        method: Takes a `Call` and any further arguments; returns the input of the next step.

    Returns:
        The method with gRPC's context in place of the `Call`.
    """

    def handle(
        self: S, context: grpc.ServicerContext, /, *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        try:
            return _written(self, context, lambda call: method(self, call, *args, **kwargs))
        except OutcomeUnknown:
            raise _outcome_unknown() from None

    return handle


def _ends(current: Caller, context: grpc.ServicerContext) -> Callable[[], bool]:
    """Return a function that tells whether the caller has given up or disconnected."""
    return lambda: time.monotonic() >= current.deadline or not context.is_active()


def _enter_once(current: Caller) -> None:
    entered_before = _answered.get() is current
    _answered.set(current)
    if entered_before and not idempotency.is_idempotent(current.method):
        raise AssertionError(f"{current.method.full_name} enters @writes twice; use @write_step")


def _written(
    servicer: Servicer, context: grpc.ServicerContext, change: Callable[[Call], Result]
) -> Result:
    """Run `change` in a read-write transaction, again after a conflict with another one."""
    current = caller.get()

    def attempt() -> Result:
        has_ended = _ends(current, context)
        with servicer.database.write(current.remaining_s(), has_ended) as session:
            call = Call(session, current.actor, current.request_id, servicer.clock())
            return _still_awaited(context, change(call))

    return _retried(attempt)


def _fast_written(
    servicer: Servicer, context: grpc.ServicerContext, change: Callable[[FastCall], Result]
) -> Result:
    """Run `change` like `_written`, on the driver's connection."""
    current = caller.get()

    def work(rows: Rows) -> Result:
        call = FastCall(rows, current.actor, current.request_id, servicer.clock())
        return _still_awaited(context, change(call))

    def attempt() -> Result:
        has_ended = _ends(current, context)
        limits = (current.remaining_s(), has_ended, current.grant.scope)
        return servicer.database.fast_write(work, *limits)

    return _retried(attempt)


def _still_awaited(context: grpc.ServicerContext, result: Result) -> Result:
    if not context.is_active():
        raise Cancelled("The caller disconnected before the commit; nothing was written.")
    return result


def _retried(attempt: Callable[[], Result]) -> Result:
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt()
        except Conflict as conflict:
            tx_retries.labels(str(conflict)).inc()
    try:
        return attempt()
    except Conflict as conflict:
        if isinstance(conflict.__cause__, IntegrityError):
            raise conflict.__cause__ from None  # a constraint violated each time is a bug
        raise Aborted(
            f"Gave up after {_ATTEMPTS} conflicting transactions; nothing was written. Retry."
        ) from conflict


def _first_reply(servicer: Servicer, request: Message, failure: Exception) -> Any:
    """Return the reply stored under the call's key in the meantime, or raise `failure`.

    Two copies of one call may run at once, and the second may fail because of what the first wrote.
    Only the key tells whether an interrupted commit took effect, so the transaction is never simply
    run again.
    """
    stored = None
    # Their messages claim that nothing was written, which is not certain here.
    with suppress(Unavailable, DeadlineExceeded):
        stored = stored_reply(servicer, request)
    if stored is not None:
        return stored
    if isinstance(failure, OutcomeUnknown):
        raise _outcome_unknown() from None
    raise failure


def _outcome_unknown() -> Unavailable:
    return Unavailable(
        "The connection to the database was lost at the commit: the request may have been done. "
        "Check its outcome before retrying, unless the call carries an idempotency key."
    )


def stored_reply(servicer: Servicer, request: Message) -> Any:
    """Return the reply stored under the call's idempotency key, or None.

    For methods that call another service before their transaction: a retry must get the first reply
    even if that service would now answer otherwise.
    """
    key = caller.get().key(request)
    if key is None:
        return None
    return servicer.database.fast_read(lambda rows: idempotency.find(rows, key))
