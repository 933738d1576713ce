"""Authenticates and authorizes the callers of an endpoint.

A caller's token is checked by a call to the registry with that token; the answer is cached under
the token's SHA-256. Everything here runs on one event loop, except the calls to the registry, which
run in threads.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from google.protobuf.descriptor import MethodDescriptor

from modelyard.api.serving.v1 import endpoint_service_pb2
from modelyard.exceptions import ModelyardException
from modelyard_kit.auth import grants
from modelyard_kit.auth.scope import check_model
from modelyard_kit.clock import Clock, now_ms
from modelyard_kit.errors import (
    Error,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from modelyard_kit.observability.bounded_log import BoundedLog
from modelyard_kit.observability.metrics import authz_denied
from modelyard_serving import metrics
from modelyard_serving.app import SERVICE
from modelyard_serving.threads import in_thread

_ENDPOINTS = endpoint_service_pb2.DESCRIPTOR.services_by_name["EndpointService"]

PREDICT: MethodDescriptor = SERVICE.methods_by_name["Predict"]
STATUS: MethodDescriptor = _ENDPOINTS.methods_by_name["GetEndpoint"]

GRANTED_S = 2.0
"""How long a grant is used before the registry is called again."""
REFUSED_S = 1.0
"""How long a refusal is used before the registry is called again."""
UNANSWERED_S = 60.0
"""How long a grant is used while the registry does not answer."""
PATIENCE_S = 2.5
"""How long a request waits for the registry. A call takes up to 2 s, and may wait for a slot."""
MAX_CACHED = 4096
"""Cached grants, and as many refusals; the oldest is dropped first."""
MAX_CALLS = 8
"""Concurrent calls about tokens with a cached grant, and as many about other tokens."""
MAX_UNKNOWN = 256
"""Tokens without a cached grant that are being checked or wait for a slot."""

_RETRY_S = 1.0
_BACKGROUND_S = 5.0  # for so long after a failed call, the next one delays no request
_MAX_TOKEN_LENGTH = 1024

_log = logging.getLogger(__name__)

Ask = Callable[[str], grants.Grant]
"""Returns the grant of a token; blocks. `Unauthenticated` and `PermissionDenied` are the registry's
refusals; any other error means that it did not answer."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The cached answer about a token.

    Attributes:
        outcome: Grant of the token, or the error to refuse it with.
        asked_s: Start of the call that the registry answered, in monotonic seconds.
        until_s: Time of the next call, in monotonic seconds.
        is_overdue: Whether a later call failed.
    """

    outcome: grants.Grant | Error
    asked_s: float
    until_s: float
    is_overdue: bool = False


class Callers:
    """Authenticates and authorizes the callers of an endpoint.

    Args:
        token: Token that the endpoint was started with; it grants everything without a call. None
            allows everything to every caller.
        ask: Calls the registry; run in threads.
        clock: Wall clock, for the expiry of tokens.
        monotonic_s: Monotonic clock in seconds, for the age of answers.
    """

    def __init__(
        self,
        token: str | None,
        ask: Ask,
        clock: Clock = now_ms,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token
        self._ask = ask
        self._clock = clock
        self._monotonic_s = monotonic_s
        # Separate, so that a flood of invalid tokens neither evicts nor delays a valid one.
        self._granted: dict[bytes, _Answer] = {}
        self._refused: dict[bytes, _Answer] = {}
        self._known_slots = asyncio.Semaphore(MAX_CALLS)
        self._unknown_slots = asyncio.Semaphore(MAX_CALLS)
        self._calls: dict[bytes, asyncio.Task[_Answer]] = {}
        self._unknown: set[bytes] = set()
        self._denied = BoundedLog(_log, "denied")
        self._unchecked = BoundedLog(_log, "a token could not be checked", level=logging.INFO)

    async def authorize(
        self, authorization: str, method: MethodDescriptor, model_name: str, request_id: str
    ) -> None:
        """Refuse a caller that may not call a method for a model.

        Args:
            authorization: Value of the header `authorization`; empty if there is none.
            method: Method of the contract whose permission is needed.
            model_name: Name of the registered model; empty for a model without one.
            request_id: Id of the request, for the log.

        Raises:
            Unauthenticated: The token is missing, invalid, revoked or expired.
            PermissionDenied: The token's role lacks the permission, or its scope the model.
            Unavailable: The registry does not answer, and no recent answer is cached.
            ResourceExhausted: Too many tokens without a cached grant are being checked.
        """
        try:
            grant = await self.identify(authorization)
            grants.require(grant, method, grants.permission_of(method))
            _check_scope(grant, model_name)
        except (Unauthenticated, PermissionDenied) as error:
            authz_denied.labels(method.full_name, error.reason).inc()
            self._denied.note(
                method=method.full_name,
                reason=error.reason,
                request=request_id,
                token=grants.token_id(authorization),
            )
            raise

    async def identify(self, authorization: str) -> grants.Grant:
        """Return the grant of a caller's token; raises as `authorize` does for the token."""
        try:
            return grants.identify(authorization, self._token, None)
        except Unauthenticated:
            token = grants.token_of(authorization)
            if not _could_be_valid(token):
                raise
        key = hashlib.sha256(token.encode()).digest()
        answer = self._granted.get(key) or self._refused.get(key)
        if answer is None or self._monotonic_s() >= answer.until_s:
            answer = await self._renewed(key, token, answer)
        if isinstance(answer.outcome, Error):
            raise _copy(answer.outcome)
        grants.check_time(answer.outcome, self._clock())
        return answer.outcome

    async def _renewed(self, key: bytes, token: str, last: _Answer | None) -> _Answer:
        call = self._calls.get(key) or self._begin(key, token)
        if last is not None and self._bridges(last):
            return last
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.shield(call)
        except TimeoutError:
            return self._unanswered(key)

    def _bridges(self, last: _Answer) -> bool:
        """Whether an answer is used while a call runs in the background, after one that failed."""
        now_s = self._monotonic_s()
        is_recent = now_s < min(last.asked_s + UNANSWERED_S, last.until_s + _BACKGROUND_S)
        return last.is_overdue and is_recent

    def _begin(self, key: bytes, token: str) -> asyncio.Task[_Answer]:
        """Start a call about a token."""
        is_known = key in self._granted
        if not is_known and len(self._unknown) >= MAX_UNKNOWN:
            raise ResourceExhausted(f"{MAX_UNKNOWN} unknown tokens are being checked; retry.")
        slots = self._known_slots if is_known else self._unknown_slots
        call = asyncio.create_task(self._ask_registry(key, token, slots))
        self._calls[key] = call
        if not is_known:
            self._unknown.add(key)

        def forget(_: asyncio.Task[_Answer]) -> None:
            del self._calls[key]
            self._unknown.discard(key)

        call.add_done_callback(forget)
        return call

    async def _ask_registry(self, key: bytes, token: str, slots: asyncio.Semaphore) -> _Answer:
        async with slots:
            asked_s = self._monotonic_s()
            try:
                grant = await in_thread(partial(self._ask, token))
            except (Unauthenticated, PermissionDenied) as refusal:
                metrics.caller_checks.labels("refused").inc()
                until_s = self._monotonic_s() + REFUSED_S
                return self._cache(key, _Answer(_copy(refusal), asked_s, until_s))
            except (Error, ModelyardException) as error:
                metrics.caller_checks.labels("unanswered").inc()
                self._unchecked.note(cause=error.message)
                return self._unanswered(key)
            metrics.caller_checks.labels("granted").inc()
            return self._cache(key, _Answer(grant, asked_s, asked_s + GRANTED_S))

    def _unanswered(self, key: bytes) -> _Answer:
        """Extend the cached grant if it is recent enough; otherwise cache that it is unknown."""
        now_s = self._monotonic_s()
        retry_s = now_s + _RETRY_S
        last = self._granted.get(key)
        if last is not None and now_s < last.asked_s + UNANSWERED_S:
            until_s = min(retry_s, last.asked_s + UNANSWERED_S)
            return self._cache(key, replace(last, until_s=until_s, is_overdue=True))
        refusal = Unavailable("Tokens cannot be checked now: the registry does not answer. Retry.")
        return self._cache(key, _Answer(refusal, now_s, retry_s))

    def _cache(self, key: bytes, answer: _Answer) -> _Answer:
        self._granted.pop(key, None)
        self._refused.pop(key, None)
        table = self._refused if isinstance(answer.outcome, Error) else self._granted
        if len(table) >= MAX_CACHED:
            del table[next(iter(table))]
        table[key] = answer
        return answer


def _could_be_valid(token: str) -> bool:
    fits = grants.MIN_TOKEN_LENGTH <= len(token) <= _MAX_TOKEN_LENGTH
    return fits and token.isascii() and token.isprintable()


def _copy(error: Error) -> Error:
    """Return a copy to raise: a raised exception keeps its frames alive."""
    return type(error)(error.message, **error.metadata)


def _check_scope(grant: grants.Grant, model_name: str) -> None:
    if model_name:
        check_model(grant.scope, model_name)
    elif grant.scope:
        raise PermissionDenied(
            f"The token '{grant.name}' is restricted to {grant.scope}; the model of this endpoint "
            "has no registered name."
        )
