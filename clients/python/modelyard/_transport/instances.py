"""The local home's instance: found, or started in the background.

The instance holds `instance.lock` while it lives and writes `instance.json` when it is ready.
Starting one takes `start.lock`, so that concurrent clients start a single instance and share it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from modelyard._notices import notice
from modelyard._transport.locks import is_locked, locked
from modelyard.exceptions import (
    InvalidState,
    ModelyardException,
    Unavailable,
    Unimplemented,
)

START_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 1800
NOT_HERE = (
    f"The local instance does not run on this system ({sys.platform}): set MODELYARD_TRACKING_URI "
    "to the address of a server, which also runs in WSL or a container."
)
_POLL_S = 0.05
_CONNECT_TIMEOUT_S = 5.0
_LOG_READ_BYTES = 65_536
_REFUSAL = "modelyard up: "
# One package of each extra that an instance needs.
_SERVER_PACKAGES = ("sqlalchemy", "uvicorn", "grpc_health")


@dataclass(frozen=True, slots=True)
class Instance:
    """A running instance, as described by `instance.json`.

    Attributes:
        http: URL of its gateway, such as `http://127.0.0.1:41235`.
        socket: gRPC target of its socket, such as `unix:/home/me/.modelyard/grpc.sock`.
    """

    http: str
    socket: str


def is_possible() -> bool:
    """Whether this system can run an instance; Windows has no sockets that are files."""
    return os.name == "posix" and hasattr(socket, "AF_UNIX")


def home() -> Path:
    """Return the local home: `MODELYARD_HOME`, or `~/.modelyard`.

    Raises:
        InvalidState: `~` cannot be expanded.
    """
    folder = Path(os.environ.get("MODELYARD_HOME") or "~/.modelyard")
    try:
        return folder.expanduser().absolute()
    except RuntimeError:
        raise InvalidState(
            f"{folder} cannot be resolved: HOME is not set, and the user has no home. Set "
            "MODELYARD_HOME to a folder, or MODELYARD_TRACKING_URI to a server."
        ) from None


def running(folder: Path) -> Instance | None:
    """Return the running instance of a home; None if none answers."""
    try:
        document = json.loads((folder / "instance.json").read_text(encoding="utf-8"))
        found = Instance(document["http"], document["socket"])
    except (OSError, ValueError, TypeError, KeyError):
        return None  # never started, or stopped
    return found if is_possible() and _answers(found.socket.removeprefix("unix:")) else None


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_TIMEOUT_S)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def ensure(folder: Path) -> Instance:
    """Return the instance of a home; start it if none runs.

    Raises:
        Unimplemented: Instances do not run on this system.
        ModelyardException: The instance could not be started; names the reason.
    """
    if not is_possible():
        raise Unimplemented(NOT_HERE)
    found = running(folder)
    if found:
        return found
    _make_home(folder)
    with locked(folder / "start.lock"):
        found = running(folder) or _when_free(folder)
        if found:
            return found
        _start(folder)
        found = running(folder)
    if found is None:
        raise _failed(folder, "", "It stopped right after it had started")
    notice("started a local instance in %s (stop it with: modelyard down)", folder)
    return found


def _make_home(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidState(
            f"The local home {folder} cannot be created: {error.strerror}. "
            "Set MODELYARD_HOME to a writable folder, or MODELYARD_TRACKING_URI to a server."
        ) from None


def holder_pid(folder: Path) -> int | None:
    """Return the id of the process that uses a home, ready or not; None if there is none."""
    if not is_held(folder):
        return None
    text = (folder / "instance.lock").read_text(encoding="ascii")
    return int(text) if text.isdecimal() else None


def is_held(folder: Path) -> bool:
    """Whether a process uses a home, ready or not."""
    return is_locked(folder / "instance.lock")


def _when_free(folder: Path) -> Instance | None:
    """Wait until a home is free, then return None; or until its instance is ready."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while is_held(folder):
        found = running(folder)
        if found:
            return found
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Another process uses the home {folder} but does not answer; "
                "stop it with: modelyard down"
            )
        time.sleep(_POLL_S)  # a lock of another process offers no event to wait for
    return None


def _start(folder: Path) -> None:
    missing = [name for name in _SERVER_PACKAGES if find_spec(name) is None]
    if missing:
        raise InvalidState(
            "No tracking URI is set, and starting a local instance needs the 'server' extra: "
            "pip install 'modelyard[server]'"
        )
    log = os.open(
        folder / "instance.log", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
    )
    ready, ready_for_child = os.pipe()
    try:
        before = os.lseek(log, 0, os.SEEK_END)
        try:
            _spawn(folder, log, ready_for_child)
        finally:
            os.close(ready_for_child)
        problem = _wait_until_ready(ready)
        if problem:
            output = os.pread(log, _LOG_READ_BYTES, before).decode(errors="replace")
            raise _failed(folder, output, problem)
    finally:
        os.close(ready)
        os.close(log)


def _spawn(folder: Path, log: int, ready_fd: int) -> None:
    # Settings of this script, such as a server's address, do not apply to the instance.
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MODELYARD_", "MLFLOW_"))
    }
    command = [sys.executable, "-P", "-m", "modelyard_server", "up", "--home", str(folder)]
    command += ["--port", "0", "--grpc-port", "0", "--background"]
    command += ["--idle-timeout-s", str(IDLE_TIMEOUT_S), "--ready-fd", str(ready_fd)]
    process = subprocess.Popen(  # the thread below waits for it
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=folder,
        env=environ,
        pass_fds=(ready_fd,),
        start_new_session=True,
    )
    # The instance outlives this script; if it ends before, the thread reaps its exit status.
    threading.Thread(target=process.wait, daemon=True, name="modelyard-instance").start()


def _wait_until_ready(ready: int) -> str:
    """Return the problem; "" if the instance is ready."""
    readable, _, _ = select.select([ready], [], [], START_TIMEOUT_S)
    if not readable:
        return f"It was not ready after {START_TIMEOUT_S:g} s"
    return "" if os.read(ready, 1024) else "It stopped before it was ready"


def _failed(folder: Path, output: str, problem: str) -> ModelyardException:
    # A refusal is reported in one line; anything else is a bug, and the log has its traceback.
    refusals = [line for line in output.splitlines() if line.startswith(_REFUSAL)]
    why = refusals[-1].removeprefix(_REFUSAL) if refusals else f"{problem}."
    return Unavailable(
        f"The local instance could not be started: {why} (log: {folder / 'instance.log'})"
    )
