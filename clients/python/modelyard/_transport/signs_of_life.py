"""When the active runs of this process last gave a sign of life to their server."""

from __future__ import annotations

import time

last_s: dict[str, float] = {}
"""Time on the monotonic clock of the last write to each active run, or of its last heartbeat."""


def written(run_id: str) -> None:
    """Record a write to a run; one that is not active in this process is ignored."""
    if run_id in last_s:
        last_s[run_id] = time.monotonic()
