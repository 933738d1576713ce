"""All cases, and the inventory of routes and methods to cover."""

from __future__ import annotations

from pathlib import Path

from tests.compat.conformance import (
    artifacts,
    experiments,
    logged_models,
    metrics,
    registered,
    run_search,
    runs,
    versions,
)
from tests.compat.conformance.door import Case

_HERE = Path(__file__).parent


def cases() -> tuple[Case, ...]:
    return (
        *experiments.cases(),
        *runs.cases(),
        *runs.lineage(),
        *metrics.cases(),
        *registered.cases(),
        *versions.cases(),
        *logged_models.cases(),
        *run_search.cases(),
        *artifacts.cases(),
    )


def inventory(what: str) -> dict[str, str]:
    """Return the kind of each of MLflow's "routes" or "methods"."""
    lines = (_HERE / f"{what}.txt").read_text().splitlines()
    return {name: kind for kind, name in (line.split(" ", 1) for line in lines)}
