"""Print MLflow's interface: `routes` of its server, or `methods` or `names` of its Python client.

Run it with the Python of an environment that has MLflow. The output of `routes` and `methods` is
kept in tests/compat/conformance: a line holds a kind (classic, or the area that Modelyard does not
offer) and a name. That of `names` is kept in clients/python/modelyard/_names_of_mlflow.txt, with
the parameters behind each name.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from typing import Any

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
    (
        "genai",  # libraries whose calls MLflow traces
        (
            r"^mlflow\.(ag2|agent|agno|ai_commands|anthropic|autogen|bedrock|claude_code|crewai|dspy"
            r"|gemini|groq|haystack|langchain|litellm|llama_index|mistral|openai|otel|pydantic_ai"
            r"|semantic_kernel|smolagents|strands|tracing)$"
        ),
    ),
    ("page", r"graphql|static-files|/build/|^GET /$|ui-telemetry"),
    # These concern the caller's process, Databricks or MLflow's own installation, not a server.
    (
        "local",
        r"^mlflow\.(doctor|import_checkpoints|login|run|test|validate_evaluation_results)$",
    ),
)


_MODULES = (
    "artifacts",
    "client",
    "entities",
    "entities.model_registry",
    "exceptions",
    "models",
    "models.model",
    "models.signature",
    "pyfunc",
    "sklearn",
    "tracking",
    "types",
    "types.schema",
)
"""Modules that Modelyard's SDK has too."""


def main() -> None:
    if sys.argv[1] == "names":
        for name, parameters in sorted(_names()):
            print(_kind(name.lower()), name, *parameters)
        return
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


def _names() -> Iterator[tuple[str, list[str]]]:
    import mlflow

    modules = [mlflow, *(importlib.import_module(f"mlflow.{name}") for name in _MODULES)]
    for module in modules:
        inside = {found.name for found in pkgutil.iter_modules(getattr(module, "__path__", ()))}
        for name in inside.union(_public(module)):
            if not name.startswith("_"):
                value = None if name in inside else getattr(module, name)
                yield f"{module.__name__}.{name}", _parameters(value)
    for name, method in vars(mlflow.MlflowClient).items():
        if not name.startswith("_"):
            yield f"mlflow.MlflowClient.{name}", _parameters(method)


def _public(module: Any) -> set[str]:
    if hasattr(module, "__all__"):
        return set(module.__all__)
    return {
        name
        for name, value in vars(module).items()
        if str(getattr(value, "__module__", "")).startswith(module.__name__)
    }


def _parameters(value: Any) -> list[str]:
    if not inspect.isroutine(value):
        return []
    found = inspect.signature(value).parameters.values()
    names = ["**" * (one.kind is one.VAR_KEYWORD) + one.name for one in found]
    return [name for name in names if name != "self"]


if __name__ == "__main__":
    main()
