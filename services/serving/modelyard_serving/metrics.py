"""Prometheus metrics of serving. No label has unbounded values."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

request_duration = Histogram(
    "modelyard_serving_request_duration_seconds",
    "Time from the arrival of a prediction request to its answer.",
    ("code",),
)
swaps = Counter(
    "modelyard_serving_swaps_total",
    "Attempts to load and activate a version, by outcome.",
    ("outcome",),
)
model_load = Histogram(
    "modelyard_model_load_seconds",
    "Time it took to fetch a version, load it in a worker and warm it.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250),
)
# A process serves few versions; the labels of versions it no longer serves are removed.
model_active = Gauge(
    "modelyard_model_active_info",
    "1 for the version that answers now.",
    ("model", "version", "digest"),
)
predict_duration = Histogram(
    "modelyard_predict_duration_seconds",
    "Time from a parsed request to the model's answer, waiting included.",
    ("model", "version"),
)
caller_checks = Counter(
    "modelyard_serving_caller_checks_total",
    "Calls to the registry to check callers' tokens: granted, refused or unanswered.",
    ("outcome",),
)
worker_deaths = Counter(
    "modelyard_serving_worker_deaths_total", "Workers that ended while their version served."
)
