"""Prometheus metrics of the registry. No label has unbounded values."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

transitions = Counter(
    "modelyard_transition",
    "Requested moves of versions from one stage to another.",
    ("from", "to", "result"),
)

watch_lag = Histogram(
    "modelyard_watch_lag_seconds",
    "Time from a change until it is sent to a watcher that was connected before it.",
)
