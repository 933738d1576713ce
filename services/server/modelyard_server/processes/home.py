"""The home folder: ownership lock and discovery of the running instance.

instance.lock   locked while an instance lives; holds its process id
instance.json   addresses of the instance, while it is ready
grpc.sock       its socket, unless the path is unsuitable for a socket
url-secret      secret that signs URLs of artifacts if no token is set; survives restarts
installation    id of the installation, written once its databases and its store agree
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from modelyard_kit.artifacts.marks import INSTALLATION, shown
from modelyard_kit.errors import FailedPrecondition, InvalidArgument

_MAX_SOCKET_PATH_BYTES = 100  # the system's own limit is 107, and on some systems 103
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~+=,@-]+")  # gRPC reads a socket's path as part of a URI
_SECRET_BYTES = 32
_LOCK_TIMEOUT_S = 0.5  # a process that checks for an instance holds the lock for an instant
_LOCK_POLL_S = 0.02


def resolved(home: Path) -> Path:
    """Return the path of a home, with `~` expanded.

    Raises:
        InvalidArgument: `~` cannot be expanded.
    """
    try:
        return home.expanduser().resolve()
    except RuntimeError:
        raise InvalidArgument(
            f"{home} cannot be used as a home: HOME is not set, and the user has no home. Set "
            "MODELYARD_HOME to a folder."
        ) from None


class Home:
    """Ownership of a home folder by this process.

    Args:
        path: The folder; created if it does not exist.

    Raises:
        FailedPrecondition: Another process uses this home.
        InvalidArgument: The folder cannot be created or written, or it holds other files and is
            accessible to other users.
    """

    def __init__(self, path: Path) -> None:
        self.path = resolved(path)
        self._socket_folder: Path | None = None
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._close_to_others()
            self._lock = os.open(self.path / "instance.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InvalidArgument(
                f"{self.path} cannot be used as a home: {error.strerror}."
            ) from None
        if not _lock(self._lock):
            holder = self._describe_holder()
            os.close(self._lock)
            raise FailedPrecondition(
                f"{self.path} is in use by {holder}; use that instance, or stop it with: modelyard "
                "down"
            )
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)
        self._instance_file.unlink(missing_ok=True)  # left behind by a killed process

    def _close_to_others(self) -> None:
        is_open = self.path.stat().st_mode & 0o077
        # In this order: another starting process may create the lock file in between.
        is_ours = not any(self.path.iterdir()) or (self.path / "instance.lock").exists()
        if is_open and not is_ours:
            raise InvalidArgument(
                f"{self.path} cannot be used as a home: it holds other files, and other users may "
                "read them. Choose an empty folder, or remove their permissions (chmod 700)."
            )
        self.path.chmod(0o700)

    @property
    def _instance_file(self) -> Path:
        return self.path / "instance.json"

    def _describe_holder(self) -> str:
        pid = os.pread(self._lock, 20, 0).decode() or "unknown"
        try:
            instance: dict[str, Any] = json.loads(self._instance_file.read_bytes())
        except FileNotFoundError:
            return f"process {pid}"
        return f"process {pid} ({instance['http']})"

    def identify(self, identity: str) -> None:
        """Record the id of the installation at its first start; compare it at each further one.

        Raises:
            FailedPrecondition: The home has another id.
        """
        file = identity_file(self.path)
        if not file.exists():
            _write_private(file, identity.encode())
        found = file.read_text(errors="replace")
        if found != identity:
            raise FailedPrecondition(
                f"The home {self.path} belongs to the installation {shown(found)}, its databases "
                f"to {shown(identity)}. Put the right files back; only if they do belong together: "
                "`modelyard migrate --adopt`."
            )

    def socket(self) -> Path:
        """Return the path to bind the socket to, with no file at it."""
        path = self.path / "grpc.sock"
        fits = len(os.fsencode(path)) <= _MAX_SOCKET_PATH_BYTES
        if not fits or not _PLAIN_PATH.fullmatch(str(path)):
            self._socket_folder = Path(tempfile.mkdtemp(prefix="modelyard-"))
            path = self._socket_folder / "grpc.sock"
        path.unlink(missing_ok=True)
        return path

    def publish(self, version: str, http: str, grpc: str, socket: Path) -> None:
        """Publish the addresses of the instance to clients on this machine."""
        instance = {
            "pid": os.getpid(),
            "version": version,
            "http": http,
            "grpc": grpc,
            "socket": f"unix:{socket}",
        }
        _write_private(self._instance_file, json.dumps(instance).encode())

    def withdraw(self) -> None:
        """Remove the published addresses, before the instance stops taking calls."""
        self._instance_file.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the published addresses and the socket, then release the lock."""
        self.withdraw()
        (self.path / "grpc.sock").unlink(missing_ok=True)
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder)
        os.close(self._lock)


def identity_file(home: Path) -> Path:
    """Return the file with the id of the installation whose databases are in a home."""
    return home / INSTALLATION


def url_secret(home: Path, token: str | None) -> bytes:
    """Return the secret that signs URLs: derived from the service token, or the home's own.

    Args:
        home: Folder of the secret if there is no token; the secret is created if missing.
        token: Service token, the same for all services of an installation.

    Raises:
        InvalidArgument: The home's secret cannot be created or read.
    """
    if token is not None:
        return hmac.digest(token.encode(), b"URLs of artifacts", "sha256")
    path = resolved(home) / "url-secret"
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(path, secrets.token_bytes(_SECRET_BYTES))
        return path.read_bytes()
    except OSError as error:
        raise InvalidArgument(
            f"{path.parent} cannot be used as a home: {path}: {error.strerror}."
        ) from None


def _make_private(path: Path, data: bytes) -> None:
    """Create a file that only its owner can read, unless another process created it meanwhile."""
    made = path.with_name(f".{path.name}-{os.getpid()}")
    _write_private(made, data)
    try:
        os.link(made, path)
    except FileExistsError:
        return
    finally:
        made.unlink()


def _lock(descriptor: int) -> bool:
    deadline = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOCK_POLL_S)
        else:
            return True


def _write_private(path: Path, data: bytes) -> None:
    """Atomically write a file that only its owner can read."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
