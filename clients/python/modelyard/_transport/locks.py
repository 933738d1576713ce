"""Locks between processes of one machine: `fcntl` on POSIX, `msvcrt` on Windows.

On a system with neither, a lock excludes no other process. What the SDK writes under a lock it
puts into place at once, so that work is then done twice, and never wrongly.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_POLL_S = 0.05
# Windows lets no other process read or write a locked byte: this one is behind the content.
_LOCKED_BYTE = 0x7FFF0000

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, wait: bool) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except PermissionError as held:
                if not wait:
                    raise BlockingIOError from held
            else:
                return
            time.sleep(_POLL_S)  # the waiting of `LK_LOCK` ends with an error after 10 s

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    try:
        import fcntl
    except ImportError:

        def _lock(descriptor: int, *, wait: bool) -> None:
            del descriptor, wait

        def _unlock(descriptor: int) -> None:
            del descriptor

    else:

        def _lock(descriptor: int, *, wait: bool) -> None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))

        def _unlock(descriptor: int) -> None:
            fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, created if it does not exist; wait until the lock is free."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, wait=True)
        yield
    finally:
        _release(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not take(descriptor):
        os.close(descriptor)
        return True
    _release(descriptor)
    return False


def take(descriptor: int) -> bool:
    """Take the lock of an open file; return False if a process holds it.

    Closing the descriptor releases the lock.
    """
    try:
        _lock(descriptor, wait=False)
    except BlockingIOError:
        return False
    return True


def _release(descriptor: int) -> None:
    # Closing alone would leave the lock with a process that another thread has forked meanwhile.
    _unlock(descriptor)
    os.close(descriptor)
