"""Quotes content of files for messages, in one line of bounded length."""

from __future__ import annotations

import reprlib

_quoting = reprlib.Repr()
_quoting.maxstring = _quoting.maxother = 120
_quoting.maxlist = 8


def quote(value: object) -> str:
    return _quoting.repr(value)
