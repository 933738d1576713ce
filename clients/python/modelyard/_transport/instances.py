"""The local home's instance: found, or started in the background.

The instance holds `instance.lock` while it lives and writes `instance.json` when it is ready.
Whoever starts one holds `start.lock`, so that of several starters one starts and all use it.
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

from modelyard._transport.locks import is_locked, locked
from modelyard.exceptions import InvalidState, ModelyardException, Unavailable

START_TIMEOUT_S = 60.0
IDLE_TIMEOUT_S = 1800
_POLL_S = 0.05
_CONNECT_TIMEOUT_S = 5.0
_LOG_READ_BYTES = 65_536
_REFUSAL = "modelyard up: "
# One package of each extra that an instance needs.
_SERVER_PACKAGES = ("sqlalchemy", "uvicorn", "grpc_health")


@dataclass(frozen=True, slots=True)
class Instance:
    """A running instance, as `instance.json` says.

    Attributes:
        http: Its gateway, such as `http://127.0.0.1:41235`.
        socket: Its gRPC target, such as `unix:/home/me/.modelyard/grpc.sock`.
    """

    http: str
    socket: str


def home() -> Path:
    """Return the local home: `MODELYARD_HOME`, or `~/.modelyard`.

    Raises:
        InvalidState: It is not known whose home `~` is.
    """
    folder = Path(os.environ.get("MODELYARD_HOME") or "~/.modelyard")
    try:
        return folder.expanduser().absolute()
    except RuntimeError:
        raise InvalidState(
            f"{folder} is not known: HOME is not set, and this user has none. Set MODELYARD_HOME "
            "to a folder, or MODELYARD_TRACKING_URI to a server."
        ) from None


def running(folder: Path) -> Instance | None:
    """Return the instance that answers in a home, or None."""
    try:
        document = json.loads((folder / "instance.json").read_text(encoding="utf-8"))
        found = Instance(document["http"], document["socket"])
    except (OSError, ValueError, TypeError, KeyError):
        return None  # none was ever started, or it has ended
    return found if _answers(found.socket.removeprefix("unix:")) else None


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
        ModelyardException: It could not be started; says why.
    """
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
        raise _failed(folder, "", "It ended right after it had started")
    sys.stderr.write(
        f"modelyard: started a local instance in {folder} (stop it with: modelyard down)\n"
    )
    return found


def _make_home(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidState(
            f"The local home {folder} cannot be made: {error.strerror}. "
            "Set MODELYARD_HOME to a folder of yours, or MODELYARD_TRACKING_URI to a server."
        ) from None


def holder_pid(folder: Path) -> int | None:
    """Return the process that uses a home, ready or not; None without one."""
    if not is_held(folder):
        return None
    text = (folder / "instance.lock").read_text(encoding="ascii")
    return int(text) if text.isdecimal() else None


def is_held(folder: Path) -> bool:
    """Whether a process uses a home, ready or not."""
    return is_locked(folder / "instance.lock")


def _when_free(folder: Path) -> Instance | None:
    """Wait until a home is free (None), or one that is just starting is ready."""
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
            said = os.pread(log, _LOG_READ_BYTES, before).decode(errors="replace")
            raise _failed(folder, said, problem)
    finally:
        os.close(ready)
        os.close(log)


def _spawn(folder: Path, log: int, ready_fd: int) -> None:
    # Settings of this script's world, such as a server's address, are not those of the instance.
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
    # It outlives this script; while the script lives, somebody must take its exit status.
    threading.Thread(target=process.wait, daemon=True, name="modelyard-instance").start()


def _wait_until_ready(ready: int) -> str:
    """Return what went wrong; "" when it is ready."""
    readable, _, _ = select.select([ready], [], [], START_TIMEOUT_S)
    if not readable:
        return f"It was not ready after {START_TIMEOUT_S:g} s"
    return "" if os.read(ready, 1024) else "It ended before it was ready"


def _failed(folder: Path, said: str, problem: str) -> ModelyardException:
    # It reports a refusal in one line; anything else is a bug, whose traceback the log keeps.
    refusals = [line for line in said.splitlines() if line.startswith(_REFUSAL)]
    why = refusals[-1].removeprefix(_REFUSAL) if refusals else f"{problem}."
    return Unavailable(
        f"The local instance could not be started: {why} (log: {folder / 'instance.log'})"
    )
