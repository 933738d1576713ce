"""Bounds the log of a platform in the background, `instance.log` in its home."""

from __future__ import annotations

import os
import threading
from pathlib import Path

LOG = "instance.log"
"""Name of the log in the home."""
MAX_BYTES = 16 << 20
"""Size at which the log becomes `instance.log.1`, in place of the one before, and begins anew."""
_PERIOD_S = 5.0
_STDERR = 2


def keep_small(path: Path) -> None:
    """Replace a log whenever it is large, as long as this process writes its stderr to it.

    A thread looks at the file, because not all that is written to stderr passes Python's logging.
    """

    def look() -> None:
        stop = threading.Event()
        while replace_if_large(path):
            stop.wait(_PERIOD_S)  # never set: the thread ends with the process

    threading.Thread(target=look, name="instance-log", daemon=True).start()


def replace_if_large(path: Path, max_bytes: int = MAX_BYTES) -> bool:
    """Begin a new file if a log is large; stdout and stderr write to it from then on.

    Args:
        path: The log.
        max_bytes: Size at which it is replaced.

    Returns:
        False if stderr writes elsewhere.
    """
    try:
        written, named = os.fstat(_STDERR), path.stat()
        if not os.path.samestat(written, named):
            return False
        if written.st_size >= max_bytes:
            _replace(path)
    except OSError:
        pass  # such as a full disk: tried again
    return True


def _replace(path: Path) -> None:
    begun = path.with_name(f".{path.name}")
    new = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    path.replace(path.with_name(f"{path.name}.1"))
    begun.replace(path)
    for descriptor in (1, _STDERR):
        os.dup2(new, descriptor)
    os.close(new)
