"""Ids of requests, which stay the same at every service that a request passes through."""

from __future__ import annotations

import re
import secrets

HEADER = "x-request-id"
_VALID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def kept_or_new(given: str) -> str:
    """Return the caller's id if it consists of 1 to 128 of `A-Z a-z 0-9 . _ -`, else a new one."""
    return given if _VALID.fullmatch(given) else secrets.token_hex(16)
