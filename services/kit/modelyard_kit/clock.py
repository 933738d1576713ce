"""The time, as something a test can hold still."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Returns Unix time in milliseconds."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000
