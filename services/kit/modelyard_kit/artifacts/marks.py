"""Marks of a store, which identify the installation that it belongs to."""

from __future__ import annotations

import re
import secrets

INSTALLATION = "installation"
"""Name of the mark with the id of the installation."""

_ID = re.compile(r"[0-9a-f]{32}")
_SHOWN_CHARACTERS = 8


def new_id() -> str:
    """Return the id of a new installation: 32 hexadecimal digits, random."""
    return secrets.token_hex(16)


def is_id(text: str | None) -> bool:
    """Whether a mark holds an id, and was not damaged."""
    return text is not None and _ID.fullmatch(text) is not None


def member(area: str) -> str:
    """Return the name of the mark of a service whose database has joined the installation."""
    return f"{INSTALLATION}-{area}"


def shown(identity: str | None) -> str:
    """Return an id as messages show it: its first digits, or the word for its absence."""
    if identity is None:
        return "none"
    return f"{identity[:_SHOWN_CHARACTERS]}…" if is_id(identity) else "an unreadable id"
