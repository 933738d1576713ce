"""Routes and headers of MLflow 3.17 that Modelyard does not support, and errors that explain it."""

from __future__ import annotations

import re

from modelyard_kit.errors import FeatureDisabled
from modelyard_kit.http.errors import HttpError
from modelyard_kit.http.exchange import Exchange

_API = re.compile(r"/(?:ajax-)?api/[23]\.0/(?:mlflow/)?(.+)")
_TRACING = "tracing of generative AI (traces, assessments, sessions)"
_EVALUATION = "evaluation of generative AI (datasets, scorers, labels, reviews, issues)"
_GATEWAY = "MLflow's AI gateway"
_JOBS = "MLflow's background jobs and assistant"
_ACCESS = "MLflow's users, roles and permissions"
_WEBHOOKS = "webhooks"
_PLANNED = frozenset({_WEBHOOKS})
_AREAS = {
    "traces": _TRACING,
    "unified-traces": _TRACING,
    "get-online-trace-details": _TRACING,
    "get-trace-artifact": _TRACING,
    "datasets": _EVALUATION,
    "scorers": _EVALUATION,
    "scorer": _EVALUATION,
    "genai": _EVALUATION,
    "label-schemas": _EVALUATION,
    "review-queues": _EVALUATION,
    "issues": _EVALUATION,
    "prompt-optimization": "prompt optimization",
    "gateway": _GATEWAY,
    "gateway-proxy": _GATEWAY,
    "runs/create-promptlab-run": _GATEWAY,
    "mcp-servers": "MLflow's registry of MCP servers",
    "jobs": _JOBS,
    "assistant": _JOBS,
    "demo": "MLflow's demo data",
    "ui-telemetry": "MLflow's telemetry",
    "webhooks": _WEBHOOKS,
    "workspaces": "workspaces",
    "users": _ACCESS,
    "roles": _ACCESS,
    "experiments/permissions": _ACCESS,
    "registered-models/permissions": _ACCESS,
}
"""Features by the first segments of their paths below the API."""
_OTHERS = {
    "/graphql": "GraphQL, which only MLflow's own UI uses",
    "/v1/traces": _TRACING,
    "/gateway/": _GATEWAY,
    "/signup": _ACCESS,
}


def refusal(path: str) -> HttpError | None:
    """Return the error for a path of MLflow that is not supported; None for any other path."""
    below = _API.fullmatch(path)
    if below is None:
        area = next((area for start, area in _OTHERS.items() if path.startswith(start)), None)
    else:
        first, _, rest = below[1].partition("/")
        area = _AREAS.get(first) or _AREAS.get(f"{first}/{rest.partition('/')[0]}")
    if area is None:
        return None
    yet = " yet" if area in _PLANNED else ""
    message = f"{path[:200]} belongs to {area}, which Modelyard does not have{yet}."
    return HttpError(501, "NOT_IMPLEMENTED", message)


def check_workspace(exchange: Exchange) -> None:
    """Refuse a request for another workspace: it would be answered from the default one.

    Raises:
        FeatureDisabled: The header names a workspace other than `default`.
    """
    workspace = exchange.header(b"x-mlflow-workspace").strip()
    if workspace not in {"", "default"}:
        raise FeatureDisabled(
            f"This server has no workspace '{workspace[:100]}': the only one is 'default'. Send no "
            "header X-MLFLOW-WORKSPACE; in MLflow's client, unset MLFLOW_WORKSPACE."
        )
