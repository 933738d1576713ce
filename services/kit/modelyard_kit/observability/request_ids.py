"""The id that a request keeps at every service it passes through."""

from __future__ import annotations

import re
import secrets

HEADER = "x-request-id"
_FITTING = re.compile(r"[A-Za-z0-9._-]{1,128}")


def kept_or_new(given: str) -> str:
    """Return the caller's own id if it is up to 128 of `A-Z a-z 0-9 . _ -`, or else a new one."""
    return given if _FITTING.fullmatch(given) else secrets.token_hex(16)
