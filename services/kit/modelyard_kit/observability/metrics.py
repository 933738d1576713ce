"""Prometheus metrics of gRPC calls and databases. No label has unbounded values.

Each metric is listed in docs/observability.md.
"""

from __future__ import annotations

from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram, Info

build = Info("modelyard_build", "Version of Modelyard.")
build.info({"version": version("modelyard")})

rpc_duration = Histogram(
    "modelyard_rpc_duration_seconds",
    "Time from the arrival of an RPC to its answer.",
    ("service", "method", "code"),
)

rpc_inflight = Gauge(
    "modelyard_rpc_inflight",
    "RPCs in progress, including server streams.",
    ("service",),
)

rpc_shed = Counter(
    "modelyard_rpc_shed",
    "RPCs refused because of overload, before any work was started.",
    ("reason",),
)

rpc_stalled = Counter(
    "modelyard_rpc_stalled",
    "Calls ended because their peer did not send the request or read the reply in time.",
    ("awaited",),
)

authz_denied = Counter(
    "modelyard_authz_denied",
    "Calls refused by authentication or authorization.",
    ("method", "reason"),
)

tx_retries = Counter(
    "modelyard_db_tx_retries",
    "Transactions run again after a conflict with another one.",
    ("sqlstate",),
)

db_pool_in_use = Gauge(
    "modelyard_db_pool_in_use",
    "Connections to databases in use by this process.",
)

idempotent_replays = Counter(
    "modelyard_idempotent_replays",
    "Calls answered with the reply stored under their idempotency key.",
)

digest_mismatches = Counter(
    "modelyard_digest_mismatch",
    "Objects whose bytes did not match their digest, each time they were read.",
    ("door",),
)

watch_streams = Gauge(
    "modelyard_watch_streams",
    "Open server streams.",
)
