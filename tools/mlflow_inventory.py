"""Print MLflow's interface: `routes` of its server, or `methods` of its Python client.

Run it with the Python of an environment that has MLflow, and keep the output in
tests/compat/conformance. A line holds a kind (classic, or the area that Modelyard does not offer)
and a name.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

# In this order: a route under two areas belongs to the first.
_AREAS = (
    ("webhooks", r"webhook"),
    ("workspaces", r"workspace"),
    (
        "genai",
        (
            r"trace|span|prompt|assessment|feedback|expectation|scorer|gateway|issue|label-schema"
            r"|review-queue|genai|demo|assistant|mcp|jobs|session|mlflow/datasets|_datasets?(_|$)"
            r"|dataset_tag|datasets?_to_|datasets?_from_|guardrail|mlflow\.context"
        ),
    ),
    ("page", r"graphql|static-files|/build/|^GET /$|ui-telemetry"),
    # These concern the caller's process, Databricks or MLflow's own installation, not a server.
    (
        "local",
        r"^mlflow\.(doctor|import_checkpoints|login|run|test|validate_evaluation_results)$",
    ),
)


def main() -> None:
    found = {"routes": _routes, "methods": _methods}[sys.argv[1]]()
    for kind, name in sorted({(_kind(name), name) for name in found}):
        print(kind, name)


def _kind(name: str) -> str:
    return next((area for area, pattern in _AREAS if re.search(pattern, name)), "classic")


def _routes() -> Iterator[str]:
    import mlflow.server
    from mlflow.server.fastapi_app import create_fastapi_app
    from mlflow.server.handlers import get_endpoints

    pairs = {(method, path) for path, _, methods in get_endpoints() for method in methods}
    for rule in mlflow.server.app.url_map.iter_rules():
        pairs |= {(method, rule.rule) for method in rule.methods - {"HEAD", "OPTIONS"}}
    for path, methods in create_fastapi_app().openapi()["paths"].items():
        name = path.replace("{artifact_path}", "{path:artifact_path}")
        name = name.replace("{", "<").replace("}", ">")
        pairs |= {(method.upper(), name) for method in methods}
    for method, path in pairs:
        if "2.0mlflow" in path:  # a mistake in 3.17; the route also exists in the correct spelling
            continue
        twin = path.replace("/ajax-api/", "/api/", 1)
        if path == twin or (method, twin) not in pairs:
            yield f"{method} {path}"


def _methods() -> Iterator[str]:
    import mlflow

    for name in vars(mlflow.MlflowClient):
        if not name.startswith("_"):
            yield f"MlflowClient.{name}"
    for name in mlflow.__all__:
        if name[0].islower() and callable(getattr(mlflow, name)):
            yield f"mlflow.{name}"


if __name__ == "__main__":
    main()
