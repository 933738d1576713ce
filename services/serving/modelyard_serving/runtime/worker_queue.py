"""The request queue of a version's worker; a worker that dies is replaced.

A crash fails only the request that was running.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from modelyard_kit.errors import DeadlineExceeded, Error, Unavailable
from modelyard_serving import metrics
from modelyard_serving.runtime.process import Died, LoadFailed, Process, Request

Start = Callable[[], Awaitable[Process]]
"""Starts a worker with the version's model; may raise `LoadFailed`."""

_FIRST_PAUSE_S = 0.2
_MAX_PAUSE_S = 10.0
_UNSTABLE_S = 5.0  # a worker that lived shorter than this is replaced only after a pause

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Job:
    request: Request
    answer: asyncio.Future[bytes]

    def fail(self, error: Error) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class WorkerQueue:
    """One worker and the requests that wait for it.

    Args:
        process: Worker with its model loaded and warm.
        start: Starts a replacement.
        timeout_s: Longest time that one prediction may run, in seconds; its worker is then killed.
    """

    def __init__(self, process: Process, start: Start, timeout_s: float) -> None:
        self._process: Process | None = process
        self._start = start
        self._timeout_s = timeout_s
        self._jobs: deque[_Job] = deque()
        self._woken = asyncio.Event()
        self._down = ""
        self._runner = asyncio.create_task(self._run(process))

    @property
    def is_up(self) -> bool:
        """Whether a worker is loaded and warm."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """Process id of the worker; None while there is no worker."""
        return None if self._process is None else self._process.pid

    async def ask(self, request: Request) -> bytes:
        """Return the JSON answer to a request, after those that were queued before.

        Cancelling the caller while it waits removes the request from the queue.

        Raises:
            Unavailable: The worker died on this request, or cannot be started again.
            DeadlineExceeded: The prediction took too long.
            InvalidArgument: The input does not fit the model.
            ModelFailed: The model raised an exception.
        """
        if self._down:
            raise Unavailable(self._down)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(request, answer))
        self._woken.set()
        return await answer

    async def close(self) -> None:
        """Stop the worker. The queue must not be used afterwards."""
        self._runner.cancel()
        await asyncio.wait([self._runner])
        if self._process is not None:
            await self._process.stop()

    async def _run(self, process: Process) -> None:
        clock = asyncio.get_running_loop().time
        pause_s = 0.0
        while True:
            born_s = clock()
            await self._work(process)
            process.kill()  # the process has ended; this closes our socket
            self._process = None
            metrics.worker_deaths.inc()
            _log.warning("the worker %s; starting another", process.ending)
            pause_s = _longer(pause_s) if clock() - born_s < _UNSTABLE_S else 0.0
            self._process = process = await self._replacement(pause_s)

    async def _work(self, process: Process) -> None:
        """Answer requests until the worker dies."""
        death = asyncio.create_task(process.wait())
        death.add_done_callback(lambda _: self._woken.set())
        try:
            while not death.done():
                if not self._jobs:
                    self._woken.clear()
                    await self._woken.wait()
                elif (job := self._jobs.popleft()).answer.done():
                    continue
                elif not await self._answer(process, job):
                    await death
        finally:
            death.cancel()

    async def _answer(self, process: Process, job: _Job) -> bool:
        """Answer one request; return False if the worker did not survive it."""
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await process.ask(job.request, self._timeout_s)
        except Error as error:
            job.fail(error)
        except Died:
            await process.end()
            job.fail(Unavailable("The model's process died on this request; others continue."))
            return False
        except TimeoutError:
            process.kill()
            job.fail(
                DeadlineExceeded(f"The model did not answer within {self._timeout_s:g} seconds.")
            )
            return False
        else:
            if not job.answer.done():
                job.answer.set_result(answer)
        return True

    async def _replacement(self, pause_s: float) -> Process:
        """Start a worker, retrying without limit; a failed start refuses the queued requests."""
        while True:
            await asyncio.sleep(pause_s)
            try:
                process = await self._start()
            except LoadFailed as error:
                _log.warning("no worker can be started: %s", error)
                self._down = f"The model's process ended and cannot be started again: {error}."
                while self._jobs:
                    self._jobs.popleft().fail(Unavailable(self._down))
                pause_s = _longer(pause_s)
            else:
                self._down = ""
                return process


def _longer(pause_s: float) -> float:
    return min(max(2 * pause_s, _FIRST_PAUSE_S), _MAX_PAUSE_S)
