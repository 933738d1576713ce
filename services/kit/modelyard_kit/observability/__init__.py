"""Metrics, traces, logs and the monitoring port."""
