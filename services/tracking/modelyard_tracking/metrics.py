"""Prometheus metrics of tracking. No label has unbounded values."""

from __future__ import annotations

from prometheus_client import Counter

gc_objects = Counter(
    "modelyard_gc_objects",
    "Objects that a sweep removed because nothing refers to them.",
    ("result",),
)
