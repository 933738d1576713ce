"""A folder in memory, for the files of tests: commits to it are as fast as they can be.

A process that is killed loses nothing there.
"""

from __future__ import annotations

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
    """Make temporary files of this process, and of those it starts, in memory if possible."""
    if RAM_DISK is not None and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = tempfile.tempdir = str(RAM_DISK)
