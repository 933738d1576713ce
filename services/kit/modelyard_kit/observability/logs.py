"""Structured logs: one JSON object a line, or a readable line on a terminal."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
import time
from itertools import islice
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, TextIO

from modelyard.redaction import redacted_text

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
"""Log levels, the most verbose first; INFO has a line for each call."""
FORMATS = ("text", "json")
_ENCODER = json.JSONEncoder(default=str)
_OWN = len(vars(logging.makeLogRecord({})))
"""Number of a record's own attributes, which come before those of `extra`."""
_ADDED = {"message", "asctime"}
"""Attributes that formatters add."""
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")  # printable ASCII without quotes, "=" and backslash
_COLORS = {"DEBUG": "2", "WARNING": "33", "ERROR": "31", "CRITICAL": "31"}
_OURS = "modelyard"
_TALKATIVE = ("alembic", "boto3", "botocore", "s3transfer", "urllib3")
"""Libraries that log at INFO what they are doing, and at DEBUG what requests contain."""
_HEADS = "grpc._cython.cygrpc"
"""Logs each entry of a head that is not UTF-8: with a traceback, with its value, for any peer."""


def _fields(record: logging.LogRecord) -> list[tuple[str, Any]]:
    extra = islice(vars(record).items(), _OWN, None)
    return [(key, value) for key, value in extra if key not in _ADDED]


class JsonFormatter(logging.Formatter):
    """Formats a record with its `extra` fields and, for a bug, its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = (
            f'{{"ts": {round(record.created, 3)!r}, "level": {_quoted(record.levelname)}, '
            f'"logger": {_quoted(record.name)}, "message": {_quoted(record.getMessage())}'
        )
        for key, value in _fields(record):
            line += f", {_quoted(key)}: {_json(value)}"
        if record.exc_info:
            line += f', "traceback": {_quoted(self.formatException(record.exc_info))}'
        return redacted_text(line + "}")  # libraries log addresses as they are given


def _json(value: object) -> str:
    if type(value) is str:
        return _quoted(value)
    is_number = type(value) is int or (type(value) is float and math.isfinite(value))
    return repr(value) if is_number else _ENCODER.encode(value)


class TextFormatter(logging.Formatter):
    """Formats a record as local time, level, message and `key=value`; a traceback follows.

    Fields without a value are left out. Control characters are escaped.

    Args:
        colored: Whether the level has a colour.
    """

    def __init__(self, *, colored: bool = False) -> None:
        super().__init__()
        self._colored = colored
        self._second = (0, "")

    def format(self, record: logging.LogRecord) -> str:
        at = self._shown(int(record.created))
        level = f"{record.levelname:<7}"
        if self._colored and record.levelname in _COLORS:
            level = f"\x1b[{_COLORS[record.levelname]}m{level}\x1b[0m"
        fields = _fields(record)
        if not record.name.startswith(_OURS):
            fields.append(("logger", record.name))
        shown = [f"{key}={_value(value)}" for key, value in fields if value not in ("", None)]
        message = _escaped(record.getMessage().strip())
        line = " ".join([f"{at}.{record.msecs:03.0f}", level, message, *shown])
        traceback = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return redacted_text(line + traceback)

    def _shown(self, second: int) -> str:
        known, shown = self._second
        if second != known:
            shown = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
            self._second = (second, shown)
        return shown


def _value(value: object) -> str:
    text = value if isinstance(value, str) else _json(value)
    return text if _PLAIN.fullmatch(text) else _escaped(json.dumps(text, ensure_ascii=False))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def configure(level: str = "INFO", log_format: str = "", stream: TextIO | None = None) -> None:
    """Send every log record and warning to a stream.

    Args:
        level: One of `LEVELS`.
        log_format: One of `FORMATS`; empty for text on a terminal and JSON elsewhere.
        stream: Stream to write to; stderr if None.
    """
    out = stream or sys.stderr
    is_terminal = out is not None and out.isatty()  # None if stderr was closed before the start
    handler = logging.StreamHandler(out)
    if (log_format or ("text" if is_terminal else "json")) == "json":
        handler.setFormatter(JsonFormatter())
    else:
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        handler.setFormatter(TextFormatter(colored=is_terminal and not plain))
    # No line shows the place in the code, thread or process of a record.
    logging._srcfile = None  # noqa: SLF001 - documented, as are the other three
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger(_HEADS).setLevel(logging.CRITICAL)


def chosen_format() -> str:
    """Return the format that `configure` chose; empty before it was called."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, TextFormatter):
            return "text"
        if isinstance(handler.formatter, JsonFormatter):
            return "json"
    return ""
