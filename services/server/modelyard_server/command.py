"""Entry of the `modelyard` command, which Ctrl-C ends silently from the first import on."""

from __future__ import annotations

import os
import signal
import sys

_INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    """Run the command line of this process; return its exit code."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # Importing the SDK takes a moment, and an interrupted import prints a traceback.
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    from modelyard.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
