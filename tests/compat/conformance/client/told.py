"""Results of MLflow's client as JSON, for the probes of its methods."""

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
    """Return an unused name; the n-th is the same in every run of the probes."""
    return f"name {next(_numbers)}"


def as_json(value: Any) -> Any:
    """Return a result of the client as JSON: entities by property, folders by content."""
    match value:
        case None | bool() | int() | float() | str():
            found: Any = value
        case Path():
            found = _files(value)
        case Mapping():
            found = {str(key): as_json(item) for key, item in value.items() if item is not None}
        case Sequence() if hasattr(value, "token"):
            found = {"page": [as_json(item) for item in value], "token": as_json(value.token and 1)}
        case Sequence():
            found = [as_json(item) for item in value]
        case _ if hasattr(value, "columns"):
            found = {name: as_json(list(value[name])) for name in sorted(value.columns)}
        case _:
            found = as_json(dict(value)) if hasattr(value, "__iter__") else str(value)
    return found


def outcome(probe: Probe) -> Any:
    """Return the result of a probe, or its refusal."""
    try:
        return {"returns": as_json(probe())}
    except MlflowException as refusal:
        return {"raises": type(refusal).__name__, "error_code": refusal.error_code}


def _files(path: Path) -> Any:
    if path.is_file():
        return path.read_text(encoding="utf-8")
    files = sorted(item for item in path.rglob("*") if item.is_file())
    return {str(item.relative_to(path)): item.read_text(encoding="utf-8") for item in files}
