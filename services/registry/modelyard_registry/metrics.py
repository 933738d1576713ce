"""Prometheus metrics of the registry. No label has unbounded values."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

transitions = Counter(
    "modelyard_transition",
    "Versions asked to move from one stage to another.",
    ("from", "to", "result"),
)

watch_lag = Histogram(
    "modelyard_watch_lag_seconds",
    "Time from a change to its being sent to a watcher that was there before it.",
)
