"""Truncates long values with a warning, as MLflow's client does.

With `MLFLOW_TRUNCATE_LONG_VALUES=false` they are sent whole, and the server refuses them.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from modelyard._client.arguments import is_unicode
from modelyard.exceptions import InvalidParameter

MAX_PARAM_LENGTH = 6000
MAX_TAG_LENGTH = 8000

_logger = logging.getLogger("modelyard")


def param_value(key: str, value: Any) -> str:
    """Return a param's value as text of at most 6,000 characters."""
    return _cut("param", key, str(value), MAX_PARAM_LENGTH)


def tag_value(key: str, value: Any) -> str:
    """Return a run tag's value as text of at most 8,000 characters."""
    return _cut("tag", key, str(value), MAX_TAG_LENGTH)


def metric_value(key: str, value: Any) -> float:
    """Return a metric's value as a float; NaN and infinities are kept.

    Raises:
        InvalidParameter: The value is not a number: text, a bool, or an array of several.
    """
    is_bool = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"
    if not is_bool and not isinstance(value, (str, bytes)):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass  # refused below, like everything that is not a number
    kind = type(value).__name__
    raise InvalidParameter(
        f"Invalid value for metric '{key}': expected a number of 64 bits, got {kind}."
    )


def _cut(noun: str, key: str, value: str, limit: int) -> str:
    if not is_unicode(value):
        raise InvalidParameter(f"Invalid value for {noun} '{key}': expected text of valid Unicode.")
    if len(value) <= limit:
        return value
    if os.environ.get("MLFLOW_TRUNCATE_LONG_VALUES", "true").lower() in {"false", "0"}:
        return value
    _logger.warning(
        "The value of %s '%s' has %d characters; truncated to %d.", noun, key, len(value), limit
    )
    return value[:limit]
