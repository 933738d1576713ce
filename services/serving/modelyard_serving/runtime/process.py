"""One worker process, seen from the endpoint."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from modelyard_kit.errors import Error, InvalidArgument
from modelyard_kit.observability import logs
from modelyard_serving.runtime import framing

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
}
_STOP_S = 5.0
_BUFFER_BYTES = 1 << 20


class LoadFailed(Exception):
    """The model in a folder cannot be served; the message is the reason, in one line."""


class Died(Exception):
    """The process ended before it answered."""


class ModelFailed(Error):
    """The model raised an exception; the traceback is in the log."""

    reason = "INTERNAL_ERROR"


@dataclass(frozen=True)
class Request:
    """One request to a model.

    Attributes:
        media_type: `application/json` or `text/csv`.
        body: Body as received.
        request_id: Id of the request, for the log.
    """

    media_type: str
    body: bytes
    request_id: str


class Process:
    """A model loaded in a process of its own, which handles one request at a time."""

    def __init__(
        self,
        child: asyncio.subprocess.Process,
        incoming: asyncio.StreamReader,
        outgoing: asyncio.StreamWriter,
    ) -> None:
        self._child = child
        self._incoming = incoming
        self._outgoing = outgoing

    @classmethod
    async def start(cls, folder: Path, *, allow_pickle: bool, timeout_s: float) -> Self:
        """Start a worker and wait until its model is loaded and warm.

        Args:
            folder: Model folder, whose bytes are verified.
            allow_pickle: Whether a pickled model, which can run any code, may be loaded.
            timeout_s: Longest time that loading may take, in seconds.

        Raises:
            LoadFailed: The model is refused, fails, or takes too long.
        """
        try:
            process = await cls._spawn()
        except OSError as error:
            raise LoadFailed(f"no process can be started ({error.strerror})") from error
        try:
            async with asyncio.timeout(timeout_s):
                await process.load(folder, allow_pickle=allow_pickle)
        except BaseException as error:
            process.kill()
            await process.wait()
            if isinstance(error, TimeoutError):
                raise LoadFailed(f"it did not load within {timeout_s:g} s") from None
            if isinstance(error, Died):
                raise LoadFailed(f"its process {process.ending} while loading it") from None
            raise
        return process

    @classmethod
    async def _spawn(cls) -> Self:
        ours, theirs = socket.socketpair()
        arguments = (str(theirs.fileno()), logs.chosen_format())
        with theirs:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "modelyard_serving.runtime.worker", *arguments),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=2,  # output of the model must not mix with replies
                env=_environment(),
                start_new_session=True,  # a Ctrl-C is for the endpoint, also while a worker imports
            )
        return cls(child, *await asyncio.open_connection(sock=ours, limit=_BUFFER_BYTES))

    async def load(self, folder: Path, *, allow_pickle: bool) -> None:
        """Load the model; `start` calls this first.

        Raises:
            LoadFailed: The model is refused or fails.
            Died: The process ended.
        """
        reply, _ = await self._exchange({"folder": str(folder), "allow_pickle": allow_pickle})
        if reply.get("status") != "ok":
            raise LoadFailed(str(reply.get("message")))

    async def ask(self, request: Request) -> bytes:
        """Return the JSON answer to a request.

        Raises:
            InvalidArgument: The input does not fit the model.
            ModelFailed: The model raised an exception.
            Died: The process ended before it answered.
        """
        header = {"media_type": request.media_type, "request_id": request.request_id}
        reply, answer = await self._exchange(header, request.body)
        if reply.get("status") == "ok":
            return answer
        if reply.get("status") == "refused":
            raise InvalidArgument(str(reply.get("message")))
        raise ModelFailed("The model failed on this input; see the log under the request id.")

    async def _exchange(self, header: dict[str, Any], body: bytes = b"") -> framing.Frame:
        try:
            self._outgoing.write(framing.pack(header, body))
            await self._outgoing.drain()
            return await framing.receive(self._incoming)
        except (ConnectionError, framing.Broken) as error:
            raise Died from error

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def ending(self) -> str:
        """How the process ended, for messages."""
        code = self._child.returncode
        if code is None:
            return "closed its connection"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"

    async def wait(self) -> None:
        """Wait until the process has ended."""
        await self._child.wait()

    def kill(self) -> None:
        """Kill the process."""
        self._outgoing.close()
        if self._child.returncode is None:
            self._child.kill()

    async def stop(self) -> None:
        """Close the connection, so that the process ends when idle; kill it after 5 s."""
        self._outgoing.close()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._child.wait()
        except TimeoutError:
            self.kill()
            await self._child.wait()


def _environment() -> dict[str, str]:
    """Return the environment of a worker, without credentials and settings."""
    return _ENVIRONMENT | {name: os.environ[name] for name in _INHERITED if name in os.environ}
