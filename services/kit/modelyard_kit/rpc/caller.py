"""The caller of the RPC that is being answered.

The interceptors set the context variable `caller` before they run the servicer's method, on the
same thread. It is read where gRPC's context is not at hand: transactions take the deadline, the
idempotency key and the scope of the token from it.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import NamedTuple

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from modelyard_kit.auth.grants import Grant
from modelyard_kit.auth.scope import Restriction, like_patterns, restrict
from modelyard_kit.db.base import Database
from modelyard_kit.db.statements import PATTERNS
from modelyard_kit.errors import DeadlineExceeded
from modelyard_kit.rpc import idempotency

DEFAULT_DEADLINE_S = 30.0
SUBCALL_MARGIN_S = 0.1
"""Taken off the deadline of calls to other services, so that their timeout can be reported."""


class Caller(NamedTuple):
    """Identity and metadata of the call that is being answered.

    Attributes:
        method: The RPC.
        actor: Name of the caller that history records.
        grant: Permissions and scope of the caller.
        request_id: Id of the request, the same at every service it passes through.
        idempotency_key: Key that the caller sent; empty for none.
        authorization: The caller's `authorization` header, forwarded to other services.
        deadline: Time on the monotonic clock at which the caller gives up, in seconds.
        traceparent: Trace context to forward to other services; empty for none.
    """

    method: MethodDescriptor
    actor: str
    grant: Grant
    request_id: str
    idempotency_key: str
    authorization: str
    deadline: float
    traceparent: str

    def remaining_s(self) -> float:
        """Return the time until the deadline in seconds, positive.

        Raises:
            DeadlineExceeded: The deadline has passed.
        """
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise DeadlineExceeded("The deadline passed before the work was done.")
        return remaining

    def key(self, request: Message) -> idempotency.Key | None:
        """Return the idempotency key of the call; None without one, or if the RPC needs none."""
        return idempotency.key_of(self.grant.principal, self.idempotency_key, self.method, request)


caller: ContextVar[Caller] = ContextVar("caller")
"""The call that this thread answers; the interceptors set it for each call."""


def restrict_to_callers(database: Database, restriction: Restriction) -> None:
    """Restrict each transaction of a call to the scope of the caller's token.

    Args:
        database: Database of the service.
        restriction: The tables and patterns of the service.
    """
    database.scope_patterns = restriction.patterns

    def begin(session: Session) -> None:
        current = caller.get(None)
        if current is not None and current.grant.scope:
            scope = current.grant.scope
            restrict(session, scope, restriction.options(scope))
            session.info[PATTERNS] = like_patterns(restriction.patterns(scope))

    database.on_begin(begin)
