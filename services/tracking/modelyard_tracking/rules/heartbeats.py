"""Signs of life of runs, and the runs that are lost."""

from __future__ import annotations

from modelyard_tracking.rules.states import RunStatus

LOST_AFTER_MS = 120_000
"""Silence after which a run counts as lost: four of the SDK's heartbeats."""
EXACTNESS_MS = 10_000
"""A sign of life that follows another sooner is not recorded: logging is frequent."""


def lost_since_ms(status: str, last_heartbeat_ms: int | None, now_ms: int) -> int | None:
    """Return since when a run is lost, Unix time in milliseconds; None if it is not.

    Args:
        status: Status of the run.
        last_heartbeat_ms: Its last sign of life; None if its process sends no heartbeats.
        now_ms: Time of the server.
    """
    if status != RunStatus.RUNNING or last_heartbeat_ms is None:
        return None
    lost_ms = last_heartbeat_ms + LOST_AFTER_MS
    return lost_ms if lost_ms < now_ms else None
