"""Structured logs: one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from typing import TextIO

from modelyard.internal import redacted_text

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
"""Log levels, the most verbose first; INFO has a line for each call."""
_ENCODER = json.JSONEncoder(default=str)
_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record with its `extra` fields and, for a bug, its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": round(record.created, 3),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return redacted_text(_ENCODER.encode(line))  # libraries log addresses as they are given


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log record as JSON to `stream` (stderr if None)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
