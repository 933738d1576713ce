"""Settings from the environment: `MODELYARD_<NAME>`, or else MLflow's `MLFLOW_<NAME>`."""

from __future__ import annotations

import os


def setting(name: str) -> str | None:
    """Return a setting, such as "TRACKING_URI"; None if it is unset or empty."""
    return os.environ.get(f"MODELYARD_{name}") or os.environ.get(f"MLFLOW_{name}") or None
