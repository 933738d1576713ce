"""Prometheus metrics of serving. No label has unbounded values."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

request_duration = Histogram(
    "modelyard_serving_request_duration_seconds",
    "Time from the arrival of a prediction request to its answer.",
    ("code",),
)
swaps = Counter(
    "modelyard_serving_swaps_total",
    "Versions that were brought in, and those that failed to be.",
    ("outcome",),
)
worker_deaths = Counter(
    "modelyard_serving_worker_deaths_total", "Workers that ended while their version served."
)
