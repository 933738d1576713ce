"""How an endpoint checks its callers: by calls to the registry, with cached answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import REGISTRY

from modelyard.api.access.v1.access_pb2 import Role
from modelyard_kit.auth.grants import Grant
from modelyard_kit.auth.roles import ROLES
from modelyard_kit.auth.scope import Scope
from modelyard_kit.errors import (
    Error,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from modelyard_serving import callers as rules
from modelyard_serving.callers import PREDICT, STATUS, Callers

OWN = "the token of the endpoint"
NOW_MS = 1_700_000_000_000
DOWN = Unavailable("registry cannot be reached. Try again.")


def token_of(number: int) -> str:
    return f"modelyard_{number:010d}_{'s' * 43}"


class Registry:
    """Answers like the registry, unless it is down or delays its answers."""

    def __init__(self) -> None:
        self.grants: dict[str, Grant] = {}
        self.asked: list[str] = []
        self.error: Error | None = None
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._arrived = threading.Condition(self._lock)
        self._flowing = threading.Event()
        self._flowing.set()

    def make(self, number: int = 1, role: Role = Role.CONTRIBUTOR, **fields: Any) -> str:
        name = f"token {number}"
        models = fields.pop("models", ())
        self.grants[token_of(number)] = Grant(
            principal=name,
            name=name,
            role=role,
            scope=Scope(models, fields.pop("experiments", ()), name),
            permissions=ROLES[role],
            **fields,
        )
        return token_of(number)

    def ask(self, token: str) -> Grant:
        with self._lock:
            self.asked.append(token)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self._arrived.notify_all()
        self._flowing.wait(30)
        with self._lock:
            self.at_once -= 1
        if self.error is not None:
            raise self.error
        if token not in self.grants:
            raise Unauthenticated("The token is not valid.")
        return self.grants[token]

    @contextmanager
    def held_back(self) -> Iterator[None]:
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    async def wait_for(self, calls: int) -> None:
        def wait() -> bool:
            with self._lock:
                return self._arrived.wait_for(lambda: len(self.asked) >= calls, timeout=30)

        assert await asyncio.to_thread(wait)


class Time:
    def __init__(self) -> None:
        self.s = 100.0
        self.ms = NOW_MS

    def advance(self, seconds: float) -> None:
        self.s += seconds
        self.ms += int(seconds * 1000)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep waits of tests from ending early on a busy machine."""
    monkeypatch.setattr(rules, "PATIENCE_S", 60)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def callers(registry: Registry, time: Time) -> Callers:
    return Callers(OWN, registry.ask, lambda: time.ms, lambda: time.s)


def name_of(callers: Callers, token: str) -> Coroutine[Any, Any, Grant]:
    return callers.identify(f"Bearer {token}")


async def settled(callers: Callers) -> None:
    """Wait until every call has been answered and its answer cached."""
    while callers._calls:  # noqa: SLF001 - no request awaits a call in the background
        await asyncio.wait(set(callers._calls.values()))  # noqa: SLF001


def test_the_endpoints_own_token_needs_no_call(callers: Callers, registry: Registry) -> None:
    registry.error = DOWN
    asyncio.run(callers.authorize(f"Bearer {OWN}", PREDICT, "iris", "r"))
    assert registry.asked == []


def test_without_a_token_every_caller_may_do_everything(registry: Registry) -> None:
    asyncio.run(Callers(None, registry.ask).authorize("", PREDICT, "iris", "r"))
    asyncio.run(Callers(None, registry.ask).authorize("Bearer other", STATUS, "", "r"))
    assert registry.asked == []


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer short", f"Bearer {'é' * 20}", f"Bearer {'x' * 1025}"]
)
def test_a_text_that_cannot_be_a_token_is_refused_without_a_call(
    callers: Callers, registry: Registry, authorization: str
) -> None:
    with pytest.raises(Unauthenticated, match="A valid bearer token is required"):
        asyncio.run(callers.identify(authorization))
    assert registry.asked == []


@pytest.mark.parametrize("role", ROLES)
def test_the_permission_of_the_role_decides(
    callers: Callers, registry: Registry, role: Role
) -> None:
    bearer = f"Bearer {registry.make(role=role)}"
    asyncio.run(callers.authorize(bearer, STATUS, "iris", "r"))
    if role in {Role.CONTRIBUTOR, Role.APPROVER, Role.ADMIN}:
        asyncio.run(callers.authorize(bearer, PREDICT, "iris", "r"))
    else:
        with pytest.raises(PermissionDenied) as refused:
            asyncio.run(callers.authorize(bearer, PREDICT, "iris", "r"))
        assert refused.value.message == (
            f"Predict needs the permission PREDICT, which the role {Role.Name(role).lower()} of "
            "the token 'token 1' does not have; use a token of role approver or contributor or "
            "admin."
        )


@pytest.mark.parametrize("scope", [{"models": ("fraud-*",)}, {"experiments": ("fraud-*",)}])
def test_the_patterns_of_the_token_decide(
    callers: Callers, registry: Registry, scope: dict[str, Any]
) -> None:
    bearer = f"Bearer {registry.make(**scope)}"
    asyncio.run(callers.authorize(bearer, PREDICT, "fraud-1", "r"))
    if "models" in scope:
        with pytest.raises(PermissionDenied, match=r"models named fraud-\*; 'iris' is none"):
            asyncio.run(callers.authorize(bearer, PREDICT, "iris", "r"))
    with pytest.raises(PermissionDenied, match=r"fraud-\*; the model of this endpoint has no"):
        asyncio.run(callers.authorize(bearer, PREDICT, "", "r"))


def test_a_refusal_is_counted_and_logged_with_the_id_of_the_token(
    callers: Callers, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"method": PREDICT.full_name, "reason": "UNAUTHENTICATED"}
    before = REGISTRY.get_sample_value("modelyard_authz_denied_total", labels) or 0
    with pytest.raises(Unauthenticated):
        asyncio.run(callers.authorize(f"Bearer {token_of(7)}", PREDICT, "iris", "r-1"))
    assert REGISTRY.get_sample_value("modelyard_authz_denied_total", labels) == before + 1
    [record] = [record for record in caplog.records if record.message == "denied"]
    assert (vars(record)["token"], vars(record)["request"]) == ("0000000007", "r-1")
    assert "s" * 43 not in str(vars(record))


def test_a_grant_is_cached_for_2_seconds(callers: Callers, registry: Registry, time: Time) -> None:
    token = registry.make()

    async def test() -> None:
        await name_of(callers, token)
        del registry.grants[token]
        time.advance(1.9)
        assert (await name_of(callers, token)).name == "token 1"
        assert len(registry.asked) == 1
        time.advance(0.1)
        with pytest.raises(Unauthenticated):
            await name_of(callers, token)

    asyncio.run(test())


def test_a_refusal_is_cached_for_1_second(callers: Callers, registry: Registry, time: Time) -> None:
    async def test() -> None:
        for _ in range(3):
            with pytest.raises(Unauthenticated, match="The token is not valid"):
                await name_of(callers, token_of(1))
        assert len(registry.asked) == 1
        registry.make(1)
        time.advance(1)
        assert (await name_of(callers, token_of(1))).name == "token 1"

    asyncio.run(test())


def test_a_token_expires_by_the_endpoints_own_clock(
    callers: Callers, registry: Registry, time: Time
) -> None:
    token = registry.make(expires_ms=NOW_MS + 1000)

    async def test() -> None:
        await name_of(callers, token)
        registry.error = DOWN
        time.advance(1)
        with pytest.raises(Unauthenticated, match="The token 'token 1' has expired"):
            await name_of(callers, token)

    asyncio.run(test())


def test_without_the_registry_a_grant_is_cached_for_a_minute(
    callers: Callers, registry: Registry, time: Time
) -> None:
    token = registry.make()

    async def test() -> None:
        await name_of(callers, token)
        registry.error = DOWN
        for _ in range(59):
            time.advance(1)
            await name_of(callers, token)
            await settled(callers)
        time.advance(1)
        with pytest.raises(Unavailable, match="Tokens cannot be checked now"):
            await name_of(callers, token)
        registry.error = None
        time.advance(1)
        assert (await name_of(callers, token)).name == "token 1"

    asyncio.run(test())


def test_an_unknown_token_cannot_be_checked_without_the_registry(
    callers: Callers, registry: Registry, time: Time
) -> None:
    registry.error = DOWN

    async def test() -> None:
        for _ in range(3):
            with pytest.raises(Unavailable, match="Tokens cannot be checked now"):
                await name_of(callers, token_of(1))
        assert len(registry.asked) == 1  # not one call for each request
        registry.error = None
        registry.make(1)
        time.advance(1)
        await name_of(callers, token_of(1))

    asyncio.run(test())


def test_after_an_outage_a_revoked_token_is_refused_with_the_next_answer(
    callers: Callers, registry: Registry, time: Time
) -> None:
    token = registry.make()

    async def test() -> None:
        await name_of(callers, token)
        registry.error = DOWN
        time.advance(2)
        await name_of(callers, token)
        registry.error = None
        del registry.grants[token]
        time.advance(30)  # without a call meanwhile
        with pytest.raises(Unauthenticated):
            await name_of(callers, token)

    asyncio.run(test())


def test_a_registry_that_hangs_delays_no_token_with_an_overdue_grant(
    callers: Callers, registry: Registry, time: Time
) -> None:
    token = registry.make()

    async def test() -> None:
        await name_of(callers, token)
        registry.error = DOWN
        time.advance(2)
        await name_of(callers, token)
        with registry.held_back():
            time.advance(1)
            assert (await name_of(callers, token)).name == "token 1"  # renewed in the background
            await registry.wait_for(3)
        await settled(callers)

    asyncio.run(test())


def test_no_request_waits_longer_than_the_limit(
    callers: Callers, registry: Registry, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = registry.make()

    async def test() -> None:
        await name_of(callers, token)
        monkeypatch.setattr(rules, "PATIENCE_S", 0)
        with registry.held_back():
            time.advance(2)
            assert (await name_of(callers, token)).name == "token 1"
            with pytest.raises(Unavailable, match="Tokens cannot be checked now"):
                await name_of(callers, token_of(2))
        await settled(callers)

    asyncio.run(test())


def test_requests_with_one_token_share_a_call(callers: Callers, registry: Registry) -> None:
    token = registry.make()

    async def test() -> None:
        with registry.held_back():
            tasks = [asyncio.create_task(name_of(callers, token)) for _ in range(50)]
            await registry.wait_for(1)
            tasks[0].cancel()  # a client that disconnects does not affect the others
        names = {grant.name for grant in await asyncio.gather(*tasks[1:])}
        assert names == {"token 1"}
        assert len(registry.asked) == 1

    asyncio.run(test())


def test_a_flood_of_invalid_tokens_is_bounded_and_delays_no_valid_one(
    callers: Callers, registry: Registry, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_UNKNOWN", 20)
    token = registry.make(0)

    async def test() -> None:
        await name_of(callers, token)
        with registry.held_back():
            flood = [asyncio.create_task(name_of(callers, token_of(n))) for n in range(1, 40)]
            await registry.wait_for(1 + rules.MAX_CALLS)
            time.advance(2)
            good = asyncio.create_task(name_of(callers, token))
            await registry.wait_for(2 + rules.MAX_CALLS)  # past those that wait
        assert (await good).name == "token 0"
        outcomes = [
            type(outcome) for outcome in await asyncio.gather(*flood, return_exceptions=True)
        ]
        assert outcomes.count(Unauthenticated) == 20
        assert outcomes.count(ResourceExhausted) == 19
        assert registry.most_at_once == 1 + rules.MAX_CALLS

    asyncio.run(test())


def test_invalid_tokens_evict_no_valid_one(
    callers: Callers, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_CACHED", 3)
    good = [registry.make(n) for n in range(4)]

    async def test() -> None:
        for token in good:
            await name_of(callers, token)
        for number in range(10, 20):
            with pytest.raises(Unauthenticated):
                await name_of(callers, token_of(number))
        for token in good[1:]:
            await name_of(callers, token)
        assert len(registry.asked) == 14
        await name_of(callers, good[0])  # the oldest was evicted by newer valid ones
        assert len(registry.asked) == 15

    asyncio.run(test())
