"""Prometheus metrics that every service has. No label has unbounded values."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

rpc_duration = Histogram(
    "modelyard_rpc_duration_seconds",
    "Time from the arrival of an RPC to its answer.",
    ("service", "method", "code"),
)

authz_denied = Counter(
    "modelyard_authz_denied",
    "Calls refused for who made them.",
    ("method", "reason"),
)

tx_retries = Counter(
    "modelyard_db_tx_retries",
    "Transactions run again after they collided with another one.",
    ("sqlstate",),
)

digest_mismatches = Counter(
    "modelyard_digest_mismatch",
    "Objects whose bytes were not those of their digest.",
)

gc_objects = Counter(
    "modelyard_gc_objects",
    "Objects that were removed because nothing refers to them.",
    ("result",),
)
