"""Lines about what was logged, registered or started: INFO records of the logger `modelyard`.

They go to stderr, in one short line each, unless the script configures logging: then its handlers
get them. `MODELYARD_QUIET=1` turns them off, as does `logging.getLogger("modelyard").setLevel`.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

_NOT_QUIET = {"", "0", "false", "no", "off"}


class _ToStderr(logging.Handler):
    """Writes to the present `sys.stderr`, which notebooks and tests replace."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.getLogger().handlers or sys.stderr is None:
            return
        with suppress(OSError, ValueError):  # stderr is closed
            sys.stderr.write(f"modelyard: {record.getMessage()}\n")


_logger = logging.getLogger("modelyard")
_logger.addHandler(_ToStderr())
if _logger.level == logging.NOTSET:
    _logger.setLevel(logging.INFO)


def notice(message: str, *arguments: object) -> None:
    """Log a message, whose `%r` and `%s` stand for the arguments; never fails."""
    if os.environ.get("MODELYARD_QUIET", "").lower() in _NOT_QUIET:
        _logger.info(message, *arguments)
