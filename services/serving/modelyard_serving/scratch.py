"""Folders for copies of models and for temporary files of workers.

Each process has one, locked while it runs. What a killed process left is removed by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelyard_kit.errors import FailedPrecondition

_PREFIX = "modelyard-served-"


@contextmanager
def folder() -> Iterator[Path]:
    """Yield an empty folder of this process, after removing those of processes that were killed.

    Raises:
        FailedPrecondition: The temporary folder of the system cannot be written to.
    """
    with contextlib.suppress(OSError):
        _sweep()
    # Locked under a name that is not swept.
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
    except OSError as error:
        raise FailedPrecondition(
            f"No temporary folder can be made: {error.strerror}. Set TMPDIR to a writable folder."
        ) from None
    descriptor = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        own = made.rename(made.with_name(made.name.removeprefix(".")))
        yield own
    finally:
        os.close(descriptor)
        for name in (made, made.with_name(made.name.removeprefix("."))):
            shutil.rmtree(name, ignore_errors=True)


def _sweep() -> None:
    for found in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            descriptor = os.open(found, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # of another user, or removed meanwhile
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(found, ignore_errors=True)
        except BlockingIOError:
            continue  # its process runs
        finally:
            os.close(descriptor)
