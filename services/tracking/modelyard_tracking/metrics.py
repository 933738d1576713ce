"""Prometheus metrics of tracking. No label has unbounded values."""

from __future__ import annotations

from prometheus_client import Counter

gc_objects = Counter(
    "modelyard_gc_objects",
    "Objects that a sweep removed because nothing refers to them.",
    ("result",),
)

gc_refused = Counter(
    "modelyard_gc_refused",
    "Sweeps that were refused, because databases and store differ or too much would be removed.",
)
