"""One worker process, seen from the endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import site
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from modelyard_kit.errors import Error, InvalidArgument
from modelyard_kit.observability import logs
from modelyard_serving.runtime import bytecode, framing, limits

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONUNBUFFERED": "1",
    "JOBLIB_MULTIPROCESSING": "0",  # it would warn that it cannot share memory
}
_STOP_S = 5.0
_END_S = 2.0
_BUFFER_BYTES = 1 << 20


class LoadFailed(Exception):
    """The model in a folder cannot be served; the message is the reason, in one line.

    Attributes:
        may_pass: Whether the same files may load at another time.
    """

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


class LoadKilled(LoadFailed):
    """Another process, or the kernel, killed the worker while it loaded a model."""

    def __init__(self, message: str) -> None:
        super().__init__(message, may_pass=True)


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


@dataclass(frozen=True)
class Confinement:
    """The bounds of a worker.

    Attributes:
        memory_bytes: Memory of its own that a worker may have.
        closed: Files and folders that it must not open: the home and the token file.
        scratch: Folder that temporary folders of workers are made in; None for the system's.
    """

    memory_bytes: int = field(default_factory=limits.default_memory_bytes)
    closed: tuple[Path, ...] = ()
    scratch: Path | None = None

    def options(self, folder: Path, *, has_network: bool) -> str:
        """Return the argument of the worker's program."""
        chosen = {
            "folder": str(folder.resolve()),
            "closed": [str(path.resolve()) for path in self.closed],
            "memory_bytes": self.memory_bytes,
            "has_network": has_network,
        }
        return json.dumps(chosen)


class Process:
    """A model loaded in a process of its own, which handles one request at a time."""

    def __init__(
        self,
        child: asyncio.subprocess.Process,
        incoming: asyncio.StreamReader,
        outgoing: asyncio.StreamWriter,
        temporary: Path,
    ) -> None:
        self._child = child
        self._incoming = incoming
        self._outgoing = outgoing
        self._temporary = temporary
        self._is_killed_here = False

    @classmethod
    async def start(
        cls,
        folder: Path,
        *,
        allow_pickle: bool,
        timeout_s: float,
        confinement: Confinement | None = None,
    ) -> Self:
        """Start a worker and wait until its model is loaded and warm.

        Args:
            folder: Absolute path of the model folder, whose bytes are verified.
            allow_pickle: Whether a pickled model, which can run any code, may be loaded.
                It may use the network, too.
            timeout_s: Longest time that loading may take, in seconds.
            confinement: Bounds of the worker.

        Raises:
            LoadFailed: The model is refused, fails, takes too long or too much memory.
        """
        bounds = confinement or Confinement()
        try:
            await bytecode.write(environment())
            options = bounds.options(folder, has_network=allow_pickle)
            process = await cls._spawn(options, bounds.scratch)
        except OSError as error:
            raise LoadFailed(
                f"no process can be started ({error.strerror})", may_pass=True
            ) from error
        try:
            async with asyncio.timeout(timeout_s):
                await process.load(folder, allow_pickle=allow_pickle, timeout_s=timeout_s)
        except Died:
            await process.end()
            # The kernel kills the largest process when memory is short.
            failed = LoadKilled if process.was_killed else LoadFailed
            raise failed(f"its process {process.ending} while loading it") from None
        except BaseException as error:
            process.kill()
            await process.wait()
            if isinstance(error, TimeoutError):
                raise LoadFailed(f"it did not load within {timeout_s:g} s") from None
            raise
        return process

    @classmethod
    async def _spawn(cls, options: str, scratch: Path | None) -> Self:
        temporary = Path(tempfile.mkdtemp(prefix="modelyard-worker-", dir=scratch))
        try:
            return await cls._spawn_in(temporary, options)
        except BaseException:
            shutil.rmtree(temporary)
            raise

    @classmethod
    async def _spawn_in(cls, temporary: Path, options: str) -> Self:
        ours, theirs = socket.socketpair()
        arguments = (str(theirs.fileno()), logs.chosen_format(), options)
        with theirs:
            child = await asyncio.create_subprocess_exec(
                # -P: modules of the present folder are not the model's.
                *(sys.executable, "-P", "-m", "modelyard_serving.runtime.worker", *arguments),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=2,  # output of the model must not mix with replies
                # Libraries write caches and logs to the user's home and the present folder.
                cwd=temporary,
                env=environment() | {"TMPDIR": str(temporary), "HOME": str(temporary)},
                start_new_session=True,  # a Ctrl-C is for the endpoint, also while a worker imports
            )
        connection = await asyncio.open_connection(sock=ours, limit=_BUFFER_BYTES)
        return cls(child, *connection, temporary)

    async def load(self, folder: Path, *, allow_pickle: bool, timeout_s: float) -> None:
        """Load the model; `start` calls this first.

        Raises:
            LoadFailed: The model is refused or fails.
            Died: The process ended.
        """
        header = {"folder": str(folder), "allow_pickle": allow_pickle, "cpu_s": timeout_s}
        reply, _ = await self._exchange(header)
        if reply.get("status") != "ok":
            raise LoadFailed(str(reply.get("message")))

    async def ask(self, request: Request, timeout_s: float) -> bytes:
        """Return the JSON answer to a request.

        Args:
            request: The request.
            timeout_s: Time after which the caller kills the worker, in seconds.

        Raises:
            InvalidArgument: The input does not fit the model.
            ModelFailed: The model raised an exception.
            Died: The process ended before it answered.
        """
        header: dict[str, Any] = {
            "media_type": request.media_type,
            "request_id": request.request_id,
            "cpu_s": timeout_s,
        }
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

    @property
    def was_killed(self) -> bool:
        """Whether another process, or the kernel, killed it."""
        return self._child.returncode == -signal.SIGKILL and not self._is_killed_here

    async def wait(self) -> None:
        """Wait until the process has ended; end those it started, and remove its files."""
        await self._child.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def kill(self) -> None:
        """Kill the process."""
        self._outgoing.close()
        if self._child.returncode is None:
            self._is_killed_here = True
            self._child.kill()

    async def stop(self) -> None:
        """Close the connection, so that the process ends when idle; kill it after 5 s."""
        await self._end_within(_STOP_S)

    async def end(self) -> None:
        """Wait until a process that closed its connection has ended; kill it after 2 s."""
        await self._end_within(_END_S)

    async def _end_within(self, seconds: float) -> None:
        self._outgoing.close()
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()


def environment() -> dict[str, str]:
    """Return the environment of a worker, without credentials and settings."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    # Packages of the user are found by the home, which is not the worker's.
    return _ENVIRONMENT | {"PYTHONUSERBASE": site.getuserbase()} | inherited
