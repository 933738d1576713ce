"""Ends statements of SQLite whose result is no longer awaited."""

from __future__ import annotations

import sqlite3

from modelyard_kit.db.base import HasEnded

_OPCODES_BETWEEN = 100_000
"""Steps of SQLite's machine between two questions: a few ms. A question waits for Python's lock."""


def watch(connection: sqlite3.Connection, has_ended: HasEnded | None) -> None:
    """Ask from time to time, and end the statement that runs; None asks no more."""
    if has_ended is None:
        connection.set_progress_handler(None, 0)
    else:
        connection.set_progress_handler(_once(has_ended), _OPCODES_BETWEEN)


def _once(has_ended: HasEnded) -> HasEnded:
    """Return a function that is true once: the rollback that follows must not be ended too."""
    answered = False

    def ask() -> bool:
        nonlocal answered
        if answered or not has_ended():
            return False
        answered = True
        return True

    return ask
