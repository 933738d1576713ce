"""ConcurrencyLimiter: bounds the requests that take much memory, disk or a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from modelyard_kit.errors import ResourceExhausted

_RETRY_AFTER_S = 1.0


class ConcurrencyLimiter:
    """Limits concurrency.

    Args:
        limit: Number of slots; callers beyond it wait.
        patience_s: Longest wait for a slot, in seconds.
        what: Plural noun for the error message, such as "uploads".
    """

    def __init__(self, limit: int, patience_s: float, what: str) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._patience_s = patience_s
        self._refusal = f"{limit} {what} are running; nothing was stored. Retry."

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, and release it at the end.

        Raises:
            ResourceExhausted: No slot became free.
        """
        try:
            async with asyncio.timeout(self._patience_s):
                await self._slots.acquire()
        except TimeoutError:
            raise ResourceExhausted(self._refusal).after(_RETRY_AFTER_S) from None
        try:
            yield
        finally:
            self._slots.release()
