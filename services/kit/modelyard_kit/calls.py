"""One call of one RPC: who makes it, and the one transaction it runs in.

A servicer's method is decorated with `reads` or `writes` and receives a `Call` with an open
session; the transaction is committed when the method returns and rolled back when it raises.
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

from modelyard_kit import idempotency
from modelyard_kit.auth import Grant
from modelyard_kit.clock import Clock
from modelyard_kit.db import Conflict, Database, OutcomeUnknown
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
from modelyard_kit.metrics import tx_retries
from modelyard_kit.scope import Restriction, restrict

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
P = ParamSpec("P")


def reads(
    method: Callable[Concatenate[S, Request, Call, P], Reply],
) -> Callable[Concatenate[S, Request, grpc.ServicerContext, P], Reply]:
    """Run the method in one read-only transaction: all of its answer is of one instant."""

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
    with another request is refused. RPCs that are idempotent by nature ignore the key.
    """

    def handle(
        self: S,
        request: Request,
        context: grpc.ServicerContext,
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Reply:
        who = caller.get()
        key = who.key(request)

        def attempt() -> Any:
            with self.database.write(who.remaining_s()) as session:
                call = Call(session, who.actor, who.request_id, self.clock())
                kept = None if key is None else idempotency.find(session, key)
                if kept is not None:
                    return kept
                reply = method(self, request, call, *args, **kwargs)
                if key is not None:
                    idempotency.keep(session, key, reply, call.now_ms)
                if not context.is_active():
                    raise Cancelled("The caller went away before the commit; nothing was written.")
                return reply

        try:
            return _until_it_goes_through(attempt)  # type: ignore[no-any-return]  # of the RPC's reply type
        except (*_DECIDED, OutcomeUnknown) as failure:
            return _first_reply(self, request, failure)  # type: ignore[no-any-return]  # as above

    return handle


def _until_it_goes_through(attempt: Callable[[], Any]) -> Any:
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
        kept = kept_reply(servicer, request)
    if kept is not None:
        return kept
    if isinstance(failure, OutcomeUnknown):
        raise Unavailable(
            "The database broke off at the commit: what was asked for may have been done. "
            "Look before you try again, unless it carries an idempotency key."
        ) from None
    raise failure


def kept_reply(servicer: Servicer, request: Message) -> Any:
    """Return the reply kept under the call's idempotency key, or None.

    For methods that ask a neighbour before their transaction: a retry must get the first reply
    even if the neighbour would now answer otherwise.
    """
    key = caller.get().key(request)
    if key is None:
        return None
    with servicer.database.read() as session:
        return idempotency.find(session, key)
