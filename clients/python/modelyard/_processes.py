"""What happens at the end of this process, and at the beginning of a forked one."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable


def at_exit(function: Callable[[], None]) -> None:
    """Have a function called once when this process ends, also if multiprocessing started it.

    What is registered last is called first; a function that makes calls is registered after grpc
    was imported, so that it runs before grpc's own.
    """
    atexit.unregister(function)
    atexit.register(function)
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing and multiprocessing.parent_process():
        # Such a child leaves without the functions of `atexit`.
        sys.modules["multiprocessing.util"].Finalize(None, function, exitpriority=1)


def in_forked_child(function: Callable[[], None]) -> None:
    """Have a function called at the beginning of each child that is forked."""
    if hasattr(os, "register_at_fork"):  # Windows does not fork
        os.register_at_fork(after_in_child=function)
