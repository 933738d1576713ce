"""Budget: bounds what requests take at the same time, in total and for each caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from modelyard_kit.auth import grants
from modelyard_kit.errors import ResourceExhausted
from modelyard_kit.http.exchange import Exchange

_RETRY_AFTER_S = 1.0


@dataclass(eq=False)
class _Turn:
    """An amount that one request waits for, or holds.

    Attributes:
        caller: Caller whose share it is taken from.
        amount: The amount.
        begun: Set when the request holds the amount.
    """

    caller: str
    amount: int
    begun: asyncio.Event = field(default_factory=asyncio.Event)


class Budget:
    """An amount, such as bytes of memory, that requests take parts of.

    Requests get their parts in the order of arrival. A request whose caller has used up its share
    waits for that caller only: it does not delay the requests of others.

    Args:
        total: The whole amount.
        share: Largest amount that one caller may hold; also the largest amount of one request.
        patience_s: Longest wait for a part, in seconds.
        what: What is running meanwhile, in the plural, for the error message.
    """

    def __init__(self, total: int, share: int, patience_s: float, what: str) -> None:
        self._free = total
        self._share = share
        self._patience_s = patience_s
        self._what = what
        self._held: dict[str, int] = {}
        self._waiting: list[_Turn] = []

    @asynccontextmanager
    async def hold(self, exchange: Exchange, amount: int) -> AsyncIterator[None]:
        """Wait for an amount, and give it back at the end.

        Raises:
            ResourceExhausted: The amount did not become free in time.
        """
        turn = _Turn(_caller(exchange), amount)
        self._waiting.append(turn)
        self._begin_turns()
        try:
            await self._wait(turn)
            yield
        finally:
            self._end(turn)

    async def _wait(self, turn: _Turn) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await turn.begun.wait()
        except TimeoutError:
            raise ResourceExhausted(
                f"Too many {self._what} are running, of this caller or of all; nothing was stored. "
                "Retry."
            ).after(_RETRY_AFTER_S) from None

    def _begin_turns(self) -> None:
        for turn in tuple(self._waiting):
            held = self._held.get(turn.caller, 0)
            if held + turn.amount > self._share:
                continue
            if turn.amount > self._free:
                return  # it would wait for ever if smaller ones overtook it
            self._free -= turn.amount
            self._held[turn.caller] = held + turn.amount
            self._waiting.remove(turn)
            turn.begun.set()

    def _end(self, turn: _Turn) -> None:
        if not turn.begun.is_set():
            self._waiting.remove(turn)
        else:
            self._free += turn.amount
            self._held[turn.caller] -= turn.amount
            if not self._held[turn.caller]:
                del self._held[turn.caller]
        self._begin_turns()


def _caller(exchange: Exchange) -> str:
    """Return what tells callers apart: the token, or the connection if there is none."""
    return grants.token_of(exchange.header(b"authorization")) or f"connection {exchange.client}"
