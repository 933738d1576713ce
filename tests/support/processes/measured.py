"""The current values of the metrics of this process."""

from __future__ import annotations

from prometheus_client import REGISTRY


def measured(name: str, **labels: str) -> float:
    """Return the value of a metric; 0 for one without samples.

    A label called `from` is given as `from_`.
    """
    named = {key.rstrip("_"): value for key, value in labels.items()}
    return REGISTRY.get_sample_value(name, named) or 0
