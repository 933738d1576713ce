"""The budget that requests share: totals, shares, order, and what ends a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import wraps
from typing import Any

import pytest

from modelyard_kit.errors import ResourceExhausted
from modelyard_kit.http.budget import Budget
from modelyard_kit.http.exchange import Exchange


def on_a_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    return wraps(test)(lambda: asyncio.run(test()))


async def _unused(*_: Any) -> Any:
    raise AssertionError


def of(authorization: str = "", client: str = "a") -> Exchange:
    headers = [(b"authorization", authorization.encode())] if authorization else []
    scope = {"method": "POST", "path": "/", "headers": headers, "client": (client, 1)}
    return Exchange(scope, _unused, _unused)


ANN, BOB = of("Bearer ann"), of("Bearer bob")


async def refused(budget: Budget, exchange: Exchange, amount: int) -> bool:
    try:
        async with budget.hold(exchange, amount):
            return False
    except ResourceExhausted as error:
        return error.retry_after_s == 1


@on_a_loop
async def test_a_caller_gets_its_share_and_others_the_rest() -> None:
    budget = Budget(10, 6, 0.01, "things")
    async with budget.hold(ANN, 5):
        assert await refused(budget, ANN, 2)
        assert await refused(budget, of("Basic YTphbm4="), 2)  # the same token in another form
        assert not await refused(budget, ANN, 1)
        assert not await refused(budget, BOB, 5)
        assert await refused(budget, BOB, 6)
    assert not await refused(budget, BOB, 6)


@on_a_loop
async def test_callers_without_a_token_are_told_apart_by_their_connections() -> None:
    budget = Budget(10, 5, 0.01, "things")
    async with budget.hold(of(client="a"), 5):
        assert await refused(budget, of(client="a"), 1)
        assert not await refused(budget, of(client="b"), 5)


@on_a_loop
async def test_nothing_is_left_after_errors_refusals_and_cancellations() -> None:
    budget = Budget(1, 1, 0.01, "things")
    with pytest.raises(RuntimeError):
        async with budget.hold(ANN, 1):
            raise RuntimeError
    async with budget.hold(ANN, 1):
        waiting = asyncio.create_task(refused(Budget(1, 1, 30, "things"), BOB, 1))
        assert not await waiting
        assert await refused(budget, BOB, 1)
    holding = asyncio.Event()

    async def hold() -> None:
        async with budget.hold(ANN, 1):
            holding.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await holding.wait()
    task.cancel()
    await asyncio.wait([task])
    assert not await refused(budget, BOB, 1)
    assert vars(budget)["_free"] == 1
    assert not vars(budget)["_held"]
    assert not vars(budget)["_waiting"]


@on_a_loop
async def test_a_large_part_is_not_overtaken_by_small_ones_of_others() -> None:
    budget = Budget(10, 10, 30, "things")
    order: list[str] = []

    async def take(name: str, exchange: Exchange, amount: int) -> None:
        async with budget.hold(exchange, amount):
            order.append(name)

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(budget.hold(ANN, 5))
        tasks = []
        for name, exchange, amount in (
            ("large", BOB, 8),
            ("small", of("Bearer cy"), 1),
        ):
            tasks.append(asyncio.create_task(take(name, exchange, amount)))
            await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(*tasks)
    assert order == ["large", "small"]


@on_a_loop
async def test_a_caller_over_its_share_does_not_delay_others() -> None:
    budget = Budget(10, 5, 30, "things")
    async with budget.hold(ANN, 5):
        waiting = asyncio.create_task(refused(budget, ANN, 1))
        await asyncio.sleep(0)
        assert not await refused(budget, BOB, 5)
        assert not waiting.done()
    assert not await waiting
