"""Intended differences from MLflow: cases and probes of methods, with their reasons."""

from __future__ import annotations

from collections.abc import Mapping

from tests.compat.conformance.differences_registry import REGISTRY
from tests.compat.conformance.differences_tracking import TRACKING
from tests.compat.conformance.reasons import Reason

# By method and number of the probe, counted from 0.
_METHODS: Mapping[str, Mapping[int, Reason]] = {
    "MlflowClient.get_model_version": {2: Reason.BY_STAGE},
    "MlflowClient.get_model_version_by_alias": {1: Reason.NOT_FOUND},
    "MlflowClient.log_artifacts": {0: Reason.MORE},
    "MlflowClient.search_model_versions": {1: Reason.GRAMMAR},
    "MlflowClient.transition_model_version_stage": {1: Reason.ONE_HOLDER},
}


def of_routes() -> dict[str, Reason]:
    """Return the reason of each case whose answers differ, by the case's name."""
    return {
        f"{route}: {title}": reason
        for table in (TRACKING, REGISTRY)
        for reason, routes in table.items()
        for route, titles in routes.items()
        for title in titles
    }


def of_methods() -> dict[str, Reason]:
    """Return the reason of each probe whose outcomes differ, by method and number."""
    return {
        f"{method}: {number}": reason
        for method, probes in _METHODS.items()
        for number, reason in probes.items()
    }
