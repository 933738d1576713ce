"""Addresses and texts as they may be shown: without passwords, tokens and signatures."""

from __future__ import annotations

import re

_HIDDEN = "***"
# Up to the last `@`: characters that should have been percent-encoded belong to the password too.
_USER_INFO_OF_ONE = re.compile(r"^([\w.+-]+://)?.*@", re.DOTALL)
_USER_INFO = re.compile(r"([\w.+-]+://)(?:[^\s/?#@'\"]*|[^\s/?#@:'\"]+:(?!\d+[/?#])[^\s'\"]*)@")
_SECRET_PARAMETER = re.compile(
    r"([?&;][^=&\s]*(?:passw|pwd|secret|token|credential|signature|\bsig\b)[^=&\s]*=)[^&\s'\"]+",
    re.IGNORECASE,
)


def redacted(address: str) -> str:
    """Return one address without user information and secret parameters, even if malformed."""
    return _SECRET_PARAMETER.sub(rf"\1{_HIDDEN}", _USER_INFO_OF_ONE.sub(rf"\1{_HIDDEN}@", address))


def redacted_text(text: str) -> str:
    """Return a text in which every address is as `redacted` returns it."""
    if "://" not in text:
        return text
    return _SECRET_PARAMETER.sub(rf"\1{_HIDDEN}", _USER_INFO.sub(rf"\1{_HIDDEN}@", text))
