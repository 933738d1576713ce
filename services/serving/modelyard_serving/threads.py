"""Blocking work outside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

Result = TypeVar("Result")


def call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call back in the loop, from a thread; a no-op after the loop has ended."""
    with contextlib.suppress(RuntimeError):  # the loop has ended, and this thread soon will
        loop.call_soon_threadsafe(callback)


async def in_thread(work: Callable[[], Result]) -> Result:
    """Run blocking work in a thread that does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: Exception | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # None only if that is the result

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            call_soon(loop, partial(settle, None, error))
        else:
            call_soon(loop, partial(settle, result, None))

    threading.Thread(target=run, daemon=True).start()
    return await done
