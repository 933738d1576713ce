"""Settings from the environment: `MODELYARD_<NAME>`, or else MLflow's `MLFLOW_<NAME>`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_before: dict[str, str | None] = {}
"""Values of exported variables before their first export; None for unset ones."""


def setting(name: str) -> str | None:
    """Return a setting, such as "TRACKING_URI"; None if it is unset or empty."""
    return os.environ.get(f"MODELYARD_{name}") or os.environ.get(f"MLFLOW_{name}") or None


def export(name: str, value: str | None) -> None:
    """Set `MODELYARD_<name>` for child processes, which inherit the environment.

    Args:
        name: Name of a setting, such as "TRACKING_URI".
        value: Its value; None for the value before the first export.
    """
    variable = f"MODELYARD_{name}"
    if value is not None:
        _before.setdefault(variable, os.environ.get(variable))
        os.environ[variable] = value
    elif variable in _before:
        before = _before.pop(variable)
        if before is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = before


@contextmanager
def isolated() -> Iterator[None]:
    """Undo all exports of the block at its end."""
    before = dict(_before)
    names = ("TRACKING_URI", "REGISTRY_URI", "EXPERIMENT_NAME", "EXPERIMENT_ID")
    values = {name: os.environ.get(f"MODELYARD_{name}") for name in names}
    try:
        yield
    finally:
        for name, value in values.items():
            export(name, value or "")
            if value is None:
                os.environ.pop(f"MODELYARD_{name}")
        _before.clear()
        _before.update(before)
