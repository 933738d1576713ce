"""A folder in memory, for the files of tests: commits to it are as fast as they can be.

A process that is killed loses nothing there.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

DISK = Path("/var/tmp")  # noqa: S108 - folders of our own are made in it
"""A folder on a disk, for tests that need one: confined processes may use shared memory."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - folders of our own are made in it
_ROOM_BYTES = 4 << 30


def _found() -> Path | None:
    if not _SHARED_MEMORY.is_dir() or shutil.disk_usage(_SHARED_MEMORY).free < _ROOM_BYTES:
        return None
    return _SHARED_MEMORY


RAM_DISK = _found()
"""The folder; None where there is none, or little room in it, as in a container of Docker."""


def use() -> None:
    """Make temporary files of this process, and of those it starts, in memory if possible.

    They are removed with this process, also those that killed processes left; with `TMPDIR` set,
    they are in that folder and stay.
    """
    if RAM_DISK is None or "TMPDIR" in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="t", dir=RAM_DISK)  # short: paths of sockets are
    atexit.register(_remove, folder, os.getpid())
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked child inherits the call
        shutil.rmtree(folder, ignore_errors=True)
