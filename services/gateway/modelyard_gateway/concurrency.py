"""ConcurrencyLimiter: how many requests may take much memory, disk or a thread at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from modelyard_kit.errors import ResourceExhausted

_AGAIN_AFTER_S = 1.0


class ConcurrencyLimiter:
    """So many at once; more wait for a while.

    Args:
        at_once: How many.
        patience_s: How long one waits for its turn.
        what: They are, for the message, e.g. "uploads".
    """

    def __init__(self, at_once: int, patience_s: float, what: str) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._patience_s = patience_s
        self._refusal = f"{at_once} {what} are running; nothing was kept. Try again."

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and give it back.

        Raises:
            ResourceExhausted: None came.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                await self._turns.acquire()
        except TimeoutError:
            raise ResourceExhausted(self._refusal).after(_AGAIN_AFTER_S) from None
        try:
            yield
        finally:
            self._turns.release()
