"""The rule for keys of metrics, params and tags of any entity, which is MLflow's."""

from __future__ import annotations

import posixpath
import re

from modelyard_kit.errors import InvalidArgument

_KEY = re.compile(r"[/\w.\- :]+")


def checked_key(key: str, parameter: str) -> str:
    r"""Check a key and return it.

    Args:
        key: Not empty, at most 250 characters (the contract's limits, checked before).
        parameter: Path of the field in the request, for the message, e.g. `metrics[3].key`.

    Raises:
        InvalidArgument: The key has characters other than `[/\w.\- :]`, or is not a normalised
            relative path: metrics and params become file names in clients.
    """
    problem = ""
    if not _KEY.fullmatch(key):
        problem = (
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), "
            "spaces ( ), colon(:) and slashes (/)."
        )
    elif key in {".", ".."} or key.startswith(("/", "../")) or posixpath.normpath(key) != key:
        problem = (
            "Names may be treated as files in certain cases, and must not resolve to other names "
            f"when treated as such. This name would resolve to {posixpath.normpath(key)!r}."
        )
    if problem:
        raise InvalidArgument(
            f"Invalid value \"{key}\" for parameter '{parameter}' supplied: {problem}", key=key
        )
    return key
