"""One call of one RPC: its caller, and the transaction it runs in.

The interceptors put what they learned about a call into the context variable `caller` before they
run the servicer's method, on the same thread. A method reads it where gRPC's context does not
reach: `reads`, `writes` and `write_step` take the deadline and the idempotency key from it, and
`restrict_to_callers` the scope of the token.

A method of one transaction is decorated with `reads` or `writes`. It is then called as gRPC calls
it, with the request and gRPC's context, and receives the request and a `Call` with an open session;
the transaction is committed when the method returns and rolled back when it raises:

    @writes
    def DeleteRun(self, request, call):
        runs.delete_run(call.session, request.run_id)
        return pb.DeleteRunResponse()

A method that asks a neighbour or the store between its transactions is not decorated itself. It
calls steps that are: with `write_step`, and at most one with `writes`, whose reply is the call's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from modelyard_kit.auth.grants import Grant
from modelyard_kit.auth.scope import Restriction, restrict
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Conflict, Database, OutcomeUnknown
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

DEFAULT_DEADLINE_S = 30.0
_ATTEMPTS = 4  # of a transaction that collides with others
_DECIDED = (Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound)
"""What an operation raises because of what it read."""
NEIGHBOUR_MARGIN_S = 0.1  # so that a caller still hears which neighbour was too slow


@dataclass(frozen=True, slots=True)
class Caller:
    """What the interceptors learned about a call before its method runs."""

    method: MethodDescriptor
    actor: str
    """Who history says did it."""
    grant: Grant
    request_id: str
    idempotency_key: str
    authorization: str
    """The caller's own `authorization`, forwarded to neighbours."""
    deadline: float
    """On the monotonic clock, seconds."""
    traceparent: str
    """Sent to neighbours, so that their part of a trace is found; empty for none."""

    def remaining_s(self) -> float:
        """Return how long the caller still waits; raise DeadlineExceeded if it does not."""
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise DeadlineExceeded("The deadline passed before the work was done.")
        return remaining

    def key(self, request: Message) -> idempotency.Key | None:
        return idempotency.key_of(self.grant.principal, self.idempotency_key, self.method, request)


caller: ContextVar[Caller] = ContextVar("caller")
"""The call that this thread answers; set by the interceptors for each one."""
_answered: ContextVar[Caller | None] = ContextVar("answered", default=None)
"""The call for which `writes` was entered last."""


def restrict_to_callers(database: Database, restriction: Restriction) -> None:
    """Let each transaction of a call see only what the caller's token is good for.

    Args:
        database: Of the service.
        restriction: Which of its tables are seen in part, and how.
    """

    def begin(session: Session) -> None:
        who = caller.get(None)
        if who is not None and who.grant.scope:
            restrict(session, who.grant.scope, restriction(who.grant.scope))

    database.on_begin(begin)


@dataclass(frozen=True, slots=True)
class Call:
    """What an operation needs to know: its transaction, who, and when."""

    session: Session
    actor: str
    request_id: str
    now_ms: int


class Servicer(Protocol):
    """What `reads` and `writes` use of a servicer."""

    database: Database
    clock: Clock


S = TypeVar("S", bound=Servicer)
Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)
Result = TypeVar("Result")
P = ParamSpec("P")


def reads(
    method: Callable[Concatenate[S, Request, Call, P], Reply],
) -> Callable[Concatenate[S, Request, grpc.ServicerContext, P], Reply]:
    """Run the method in one read-only transaction: all of its answer is of one instant.

    Args:
        method: Takes the request, a `Call` and what else it is called with; returns the reply.

    Returns:
        The same with gRPC's context in place of the `Call`.
    """

    def handle(
        self: S,
        request: Request,
        _context: grpc.ServicerContext,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Reply:
        who = caller.get()
        with self.database.read(who.remaining_s()) as session:
            call = Call(session, who.actor, who.request_id, self.clock())
            return method(self, request, call, *args, **kwargs)

    return handle


def writes(
    method: Callable[Concatenate[S, Request, Call, P], Reply],
) -> Callable[Concatenate[S, Request, grpc.ServicerContext, P], Reply]:
    """Run the method in one read-write transaction, once per idempotency key.

    The first reply to a key is kept in the same transaction and given again to a retry; the key
    with another request is refused. RPCs that are idempotent by nature ignore the key. A method
    that collides with another transaction is run again, so it changes nothing but the database.

    Args:
        method: Takes the request, a `Call` and what else it is called with; returns the reply.

    Returns:
        The same with gRPC's context in place of the `Call`. It raises AssertionError when it is
        entered a second time in a call of an RPC that is not idempotent: the key has one reply, so
        a retry would get that of the first step in the second. `write_step` is for the others.
    """

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

        def replied(call: Call) -> Any:
            kept = None if key is None else idempotency.find(call.session, key)
            if kept is not None:
                return kept
            reply = method(self, request, call, *args, **kwargs)
            if key is not None:
                idempotency.store_reply(call.session, key, reply, call.now_ms)
            return reply

        try:
            return _written(self, context, replied)  # type: ignore[no-any-return]  # of the RPC's reply type
        except (*_DECIDED, OutcomeUnknown) as failure:
            return _first_reply(self, request, failure)  # type: ignore[no-any-return]  # as above

    return handle


def write_step(
    method: Callable[Concatenate[S, Call, P], Result],
) -> Callable[Concatenate[S, grpc.ServicerContext, P], Result]:
    """Run the method in one read-write transaction that is a part of a call.

    Nothing is kept under the call's idempotency key: a retry runs the step again.

    Args:
        method: Takes a `Call` and what else it is called with; returns what the next step needs.

    Returns:
        The same with gRPC's context in place of the `Call`.
    """

    def handle(
        self: S, context: grpc.ServicerContext, /, *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        try:
            return _written(self, context, lambda call: method(self, call, *args, **kwargs))
        except OutcomeUnknown:
            raise _may_be_done() from None

    return handle


def _enter_once(who: Caller) -> None:
    entered_before = _answered.get() is who
    _answered.set(who)
    if entered_before and not idempotency.is_idempotent(who.method):
        raise AssertionError(f"{who.method.full_name} enters @writes twice; use @write_step")


def _written(
    servicer: Servicer, context: grpc.ServicerContext, change: Callable[[Call], Result]
) -> Result:
    """Run `change` in a read-write transaction, again while it collides with others."""
    who = caller.get()

    def attempt() -> Result:
        with servicer.database.write(who.remaining_s()) as session:
            call = Call(session, who.actor, who.request_id, servicer.clock())
            result = change(call)
            if not context.is_active():
                raise Cancelled("The caller went away before the commit; nothing was written.")
            return result

    return _until_it_goes_through(attempt)


def _until_it_goes_through(attempt: Callable[[], Result]) -> Result:
    for _ in range(_ATTEMPTS - 1):
        try:
            return attempt()
        except Conflict as conflict:
            tx_retries.labels(str(conflict)).inc()
    try:
        return attempt()
    except Conflict as conflict:
        if isinstance(conflict.__cause__, IntegrityError):
            raise conflict.__cause__ from None  # nobody else's doing: the same each time
        raise Aborted("Somebody else wrote the same each time; nothing was written.") from conflict


def _first_reply(servicer: Servicer, request: Message, failure: Exception) -> Any:
    """Return the reply kept under the call's key after all, or raise why there is none.

    The same call may have been sent twice at once: the second ran into what the first did. Whether
    a commit that broke off happened can be told by the key only, so it is never run again blindly.
    """
    kept = None
    # What these say of writing nothing need not be so here.
    with suppress(Unavailable, DeadlineExceeded):
        kept = stored_reply(servicer, request)
    if kept is not None:
        return kept
    if isinstance(failure, OutcomeUnknown):
        raise _may_be_done() from None
    raise failure


def _may_be_done() -> Unavailable:
    return Unavailable(
        "The database broke off at the commit: what was asked for may have been done. "
        "Look before you try again, unless it carries an idempotency key."
    )


def stored_reply(servicer: Servicer, request: Message) -> Any:
    """Return the reply kept under the call's idempotency key, or None.

    For methods that ask a neighbour before their transaction: a retry must get the first reply
    even if the neighbour would now answer otherwise.
    """
    key = caller.get().key(request)
    if key is None:
        return None
    with servicer.database.read() as session:
        return idempotency.find(session, key)
