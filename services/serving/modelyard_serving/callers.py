"""Who asks for predictions, and whether they may.

The registry is asked about the token of a caller, with that token, and its answer is kept for a
while by the token's SHA-256. Everything here runs on one event loop but the questions themselves.
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

from modelyard.exceptions import ModelyardException
from modelyard_kit import auth
from modelyard_kit.clock import Clock, now_ms
from modelyard_kit.errors import (
    Error,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from modelyard_kit.metrics import authz_denied
from modelyard_kit.scope import check_model
from modelyard_serving import metrics
from modelyard_serving.app import SERVICE
from modelyard_serving.threads import in_thread

PREDICT: MethodDescriptor = SERVICE.methods_by_name["Predict"]
STATUS: MethodDescriptor = SERVICE.methods_by_name["GetEndpoint"]

GRANTED_S = 2.0
"""How long an answer counts."""
REFUSED_S = 1.0
UNANSWERED_S = 60.0
"""How long an answer counts while the registry gives no newer one."""
PATIENCE_S = 2.5
"""How long a request waits for an answer; a question takes at most 2 s, and waits for its turn."""
MAX_KEPT = 4096
"""Answers of either kind; the oldest goes first."""
MAX_QUESTIONS = 8
"""At once, about tokens that are known to be good; and as many about others."""
MAX_STRANGERS = 256
"""Tokens not known to be good that are asked about or wait for it."""

_RETRY_S = 1.0
_BEHIND_S = 5.0  # so long after a failure, a question delays no request that can do without
_MAX_TOKEN_LENGTH = 1024

_log = logging.getLogger(__name__)

Ask = Callable[[str], auth.Grant]
"""Returns what the registry grants a token; blocks. `Unauthenticated` and `PermissionDenied` are
answers, every other failure means that the registry cannot tell now."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is known of a token.

    Attributes:
        outcome: What it grants, or why it is refused.
        asked_s: When the question was sent that the registry answered, monotonic seconds.
        until_s: When to ask again.
        is_overdue: Whether the registry has been asked since and did not answer.
    """

    outcome: auth.Grant | Error
    asked_s: float
    until_s: float
    is_overdue: bool = False


class Callers:
    """The callers of an endpoint.

    Args:
        token: The one the endpoint was started with, which is good for everything here without a
            question; None to ask callers for none.
        ask: Asks the registry; called in threads.
        clock: Tells when a token has expired.
        monotonic_s: Tells how old an answer is.
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
        # Apart, so that a flood of wrong tokens pushes out no good one and takes no turn from it.
        self._granted: dict[bytes, _Answer] = {}
        self._refused: dict[bytes, _Answer] = {}
        self._turns_of_known = asyncio.Semaphore(MAX_QUESTIONS)
        self._turns_of_strangers = asyncio.Semaphore(MAX_QUESTIONS)
        self._questions: dict[bytes, asyncio.Task[_Answer]] = {}
        self._strangers: set[bytes] = set()

    async def authorize(
        self, authorization: str, method: MethodDescriptor, model_name: str, request_id: str
    ) -> None:
        """Refuse a caller who may not do something with a model.

        Args:
            authorization: The value of the header `authorization`; empty when there is none.
            method: Of the contract; names the permission.
            model_name: Of the registered model; empty for one without.
            request_id: For the log.

        Raises:
            Unauthenticated: A token is needed, and this is none, was revoked or has expired.
            PermissionDenied: The token's role lacks the permission, or its patterns the model.
            Unavailable: Whether it is valid cannot be told now.
            ResourceExhausted: Too many tokens that are not known wait to be checked.
        """
        try:
            grant = await self.identify(authorization)
            auth.require(grant, method, auth.permission_of(method))
            _check_scope(grant, model_name)
        except (Unauthenticated, PermissionDenied) as error:
            authz_denied.labels(method.full_name, error.reason).inc()
            _log.warning(
                "denied",
                extra={"method": method.full_name, "reason": error.reason, "request": request_id}
                | {"token": auth.token_id(authorization)},
            )
            raise

    async def identify(self, authorization: str) -> auth.Grant:
        """Return what a caller may do; raises as `authorize`, for the token alone."""
        try:
            return auth.identify(authorization, self._token, None)
        except Unauthenticated:
            token = auth.token_of(authorization)
            if not _could_be_valid(token):
                raise
        key = hashlib.sha256(token.encode()).digest()
        answer = self._granted.get(key) or self._refused.get(key)
        if answer is None or self._monotonic_s() >= answer.until_s:
            answer = await self._renewed(key, token, answer)
        if isinstance(answer.outcome, Error):
            raise _again(answer.outcome)
        auth.check_time(answer.outcome, self._clock())
        return answer.outcome

    async def _renewed(self, key: bytes, token: str, last: _Answer | None) -> _Answer:
        question = self._questions.get(key) or self._begin(key, token)
        if last is not None and self._can_do_without(last):
            return last
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.shield(question)
        except TimeoutError:
            return self._unanswered(key)

    def _can_do_without(self, last: _Answer) -> bool:
        now_s = self._monotonic_s()
        counts = now_s < last.asked_s + UNANSWERED_S
        return last.is_overdue and counts and now_s < last.until_s + _BEHIND_S

    def _begin(self, key: bytes, token: str) -> asyncio.Task[_Answer]:
        """Ask about a token, unless that would be too much."""
        is_known = key in self._granted
        if not is_known and len(self._strangers) >= MAX_STRANGERS:
            raise ResourceExhausted(
                f"{MAX_STRANGERS} tokens that are not known here wait to be checked; try again."
            )
        turns = self._turns_of_known if is_known else self._turns_of_strangers
        question = asyncio.create_task(self._put(key, token, turns))
        self._questions[key] = question
        if not is_known:
            self._strangers.add(key)

        def forget(_: asyncio.Task[_Answer]) -> None:
            del self._questions[key]
            self._strangers.discard(key)

        question.add_done_callback(forget)
        return question

    async def _put(self, key: bytes, token: str, turns: asyncio.Semaphore) -> _Answer:
        async with turns:
            asked_s = self._monotonic_s()
            try:
                grant = await in_thread(partial(self._ask, token))
            except (Unauthenticated, PermissionDenied) as refusal:
                metrics.caller_checks.labels("refused").inc()
                until_s = self._monotonic_s() + REFUSED_S
                return self._keep(key, _Answer(_again(refusal), asked_s, until_s))
            except (Error, ModelyardException) as error:
                metrics.caller_checks.labels("unanswered").inc()
                _log.info("a token could not be checked", extra={"cause": error.message})
                return self._unanswered(key)
            metrics.caller_checks.labels("granted").inc()
            return self._keep(key, _Answer(grant, asked_s, asked_s + GRANTED_S))

    def _unanswered(self, key: bytes) -> _Answer:
        """Let the last answer count a little longer, if it is not too old."""
        now_s = self._monotonic_s()
        retry_s = now_s + _RETRY_S
        last = self._granted.get(key)
        if last is not None and now_s < last.asked_s + UNANSWERED_S:
            until_s = min(retry_s, last.asked_s + UNANSWERED_S)
            return self._keep(key, replace(last, until_s=until_s, is_overdue=True))
        unknown = Unavailable(
            "Tokens cannot be checked now: the registry does not answer. Try again."
        )
        return self._keep(key, _Answer(unknown, now_s, retry_s))

    def _keep(self, key: bytes, answer: _Answer) -> _Answer:
        self._granted.pop(key, None)
        self._refused.pop(key, None)
        table = self._refused if isinstance(answer.outcome, Error) else self._granted
        if len(table) >= MAX_KEPT:
            del table[next(iter(table))]
        table[key] = answer
        return answer


def _could_be_valid(token: str) -> bool:
    fits = auth.MIN_TOKEN_LENGTH <= len(token) <= _MAX_TOKEN_LENGTH
    return fits and token.isascii() and token.isprintable()


def _again(error: Error) -> Error:
    """Return the same refusal anew: what is raised keeps the frames it came through."""
    return type(error)(error.message, **error.metadata)


def _check_scope(grant: auth.Grant, model_name: str) -> None:
    if model_name:
        check_model(grant.scope, model_name)
    elif grant.scope:
        raise PermissionDenied(
            f"The token '{grant.name}' is good for {grant.scope} only; the model of this endpoint "
            "has no registered name."
        )
