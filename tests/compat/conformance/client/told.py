"""What MLflow's client returns, as JSON: the common ground of the probes of its methods."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

Probe = Callable[[], Any]

client = MlflowClient()
_numbers = itertools.count(1)


def fresh() -> str:
    """Return a name that nothing has; the n-th is the same in every run of the probes."""
    return f"name {next(_numbers)}"


def told(value: Any) -> Any:
    """Return something the client returned as JSON: entities by property, folders by content."""
    match value:
        case None | bool() | int() | float() | str():
            found: Any = value
        case Path():
            found = _told_path(value)
        case Mapping():
            found = {str(key): told(item) for key, item in value.items() if item is not None}
        case Sequence():
            found = [told(item) for item in value]
        case _ if hasattr(value, "columns"):
            found = {name: told(list(value[name])) for name in sorted(value.columns)}
        case _:
            found = told(dict(value)) if hasattr(value, "__iter__") else str(value)
    return found


def outcome(probe: Probe) -> Any:
    """Return what a probe returns, or how it was refused."""
    try:
        return {"returns": told(probe())}
    except MlflowException as refusal:
        return {"raises": type(refusal).__name__, "error_code": refusal.error_code}


def _told_path(path: Path) -> Any:
    if path.is_file():
        return path.read_text(encoding="utf-8")
    files = sorted(item for item in path.rglob("*") if item.is_file())
    return {str(item.relative_to(path)): item.read_text(encoding="utf-8") for item in files}
