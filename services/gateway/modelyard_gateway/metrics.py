"""Prometheus metrics of the HTTP edge. No label has unbounded values."""

from __future__ import annotations

from prometheus_client import Gauge, Histogram

http_duration = Histogram(
    "modelyard_http_duration_seconds",
    "Time from the arrival of an HTTP request to the end of its response.",
    ("route", "method", "status"),
)

uploads_pending = Gauge(
    "modelyard_upload_pending",
    "Uploads that are waiting for a slot, being received or being stored.",
)
