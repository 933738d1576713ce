"""Converts values of metrics, params and tags as MLflow's client does.

Long params and tags are truncated with a warning. With `MLFLOW_TRUNCATE_LONG_VALUES=false` they are
refused.
"""

from __future__ import annotations

import logging
import os
import reprlib
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
    """Return a tag's value as text of at most 8,000 characters."""
    return _cut("tag", key, str(value), MAX_TAG_LENGTH)


def metric_value(key: str, value: Any) -> float:
    """Return a metric's value as a float; NaN and infinities are kept.

    Args:
        key: Key of the metric, for errors.
        value: A number, a bool, text of a number, or an array or tensor of one element.

    Raises:
        InvalidParameter: The value is none of these, or is too large.
    """
    if type(value) is float:
        return value
    try:
        return float(_single(value))
    except Exception:  # noqa: BLE001 - frameworks raise errors of their own
        raise InvalidParameter(
            f"Invalid value for metric '{key}': expected a number of 64 bits, got "
            f"{_described(value)}."
        ) from None


def _single(value: Any) -> Any:
    """Return the only element of an array or tensor, and anything else as it is."""
    if getattr(getattr(value, "dtype", None), "kind", "") in {"m", "M"}:
        raise TypeError(value)  # its item() is a count of nanoseconds
    if hasattr(value, "filled"):  # a masked array: the value under a mask is no value
        value = value.astype(float).filled(float("nan"))
    if hasattr(value, "item"):
        return value.item()
    # TensorFlow's tensors have no item().
    return value.numpy().item() if hasattr(value, "numpy") else value


def _described(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, str):
        return f"the text {reprlib.repr(value)}"
    if isinstance(value, int):
        return "an int that is too large"
    if kind in {"NAType", "NaTType"}:
        return f"a missing value ({value})"
    shape = getattr(value, "shape", None)
    if not shape:
        return kind
    dtype = getattr(value, "dtype", None)
    of_type = "" if dtype is None else f" and type {dtype}"
    return f"{kind} of shape {tuple(shape)}{of_type}"


def _cut(noun: str, key: str, value: str, limit: int) -> str:
    if not is_unicode(value):
        raise InvalidParameter(f"Invalid value for {noun} '{key}': expected text of valid Unicode.")
    if len(value) <= limit:
        return value
    if os.environ.get("MLFLOW_TRUNCATE_LONG_VALUES", "true").lower() in {"false", "0"}:
        raise InvalidParameter(
            f"Invalid value for {noun} '{key}': it has {len(value):,} characters, at most "
            f"{limit:,} are allowed."
        )
    _logger.warning(
        "The value of %s '%s' has %d characters; truncated to %d.", noun, key, len(value), limit
    )
    return value[:limit]
