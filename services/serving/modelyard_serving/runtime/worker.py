"""Main program of a worker process.

Started by `process.start` with one end of a socket pair. It ends when the other end closes, or its
parent does. Limits and sandbox are in force before the model's libraries are imported: these start
threads, which would stay outside.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from modelyard_serving.runtime import limits, sandbox

_PARENT_DEATH_SIGNAL = 1
_NEW_OBJECTS = 100_000
"""Number between two searches for garbage; by default, imports of libraries take a fifth longer."""


def main() -> int:
    gc.set_threshold(_NEW_OBJECTS)
    _ignore_stops()
    _confine(**json.loads(sys.argv[3]))
    from modelyard_kit.observability import logs
    from modelyard_serving.runtime import answering

    logs.configure(log_format=sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as endpoint, endpoint.makefile("rb") as incoming:
        try:
            answering.serve(endpoint, incoming)
        except ConnectionError:
            return 0  # the endpoint ended, and its callers with it
    return 0


def _ignore_stops() -> None:
    """Ignore signals to the whole group: the parent decides when a worker ends, after its request.

    Processes that a model starts heed them: pools of `multiprocessing` end theirs by SIGTERM. The
    signals have a handler for that reason, as other programs would inherit that they are ignored.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    os.register_at_fork(after_in_child=_heed_stops)


def _heed_stops() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _confine(folder: str, closed: list[str], memory_bytes: int, **options: Any) -> None:
    if sys.platform == "linux":  # a prediction that runs does not notice that the other end closed
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    limits.apply(memory_bytes)
    sandbox.enter(Path(folder), [Path(path) for path in closed], **options)


if __name__ == "__main__":
    sys.exit(main())
