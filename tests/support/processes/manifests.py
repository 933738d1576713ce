"""The contents of deploy/ as objects: rendered manifests, the compose file, selectors."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
_tool = runpy.run_path(str(ROOT / "tools" / "check_manifests.py"))
FOLDERS: tuple[str, ...] = _tool["FOLDERS"]
problems = _tool["problems"]

Object = dict[str, Any]


@cache
def rendered(folder: str) -> tuple[Object, ...]:
    """Return the objects of a folder of deploy/kubernetes."""
    return tuple(_tool["render"](DEPLOY / "kubernetes" / folder))


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def workloads(objects: tuple[Object, ...]) -> list[Object]:
    return of_kind(objects, "Deployment", "StatefulSet", "Job", "CronJob")


def template(workload: Object) -> Object:
    """Return the pod template of a workload."""
    spec = workload["spec"]
    found: Object = spec.get("jobTemplate", {"spec": spec})["spec"]["template"]
    return found


def pod(workload: Object) -> Object:
    found: Object = template(workload)["spec"]
    return found


def container(workload: Object) -> Object:
    (only,) = pod(workload)["containers"]
    found: Object = only
    return found


def pod_labels(workload: Object) -> dict[str, str]:
    found: dict[str, str] = template(workload)["metadata"]["labels"]
    return found


def ports(workload: Object) -> dict[str, int]:
    """Return the numbers of a workload's ports by name."""
    return {port["name"]: port["containerPort"] for port in container(workload).get("ports", ())}


def selects(selector: Object, labels: dict[str, str]) -> bool:
    """Whether a label selector of Kubernetes selects a pod; supports the operator In only."""
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def selected(selector: Object, objects: tuple[Object, ...]) -> list[Object]:
    return [one for one in workloads(objects) if selects(selector, pod_labels(one))]


def name(one: Object) -> str:
    found: str = one["metadata"]["name"]
    return found


def environment(workload: Object, objects: tuple[Object, ...]) -> dict[str, str | None]:
    """Return the environment of a container; None stands for a secret."""
    found: dict[str, str | None] = {}
    for source in container(workload).get("envFrom", ()):
        (settings,) = (
            one
            for one in of_kind(objects, "ConfigMap")
            if name(one) == source["configMapRef"]["name"]
        )
        found |= settings["data"]
    return found | {one["name"]: one.get("value") for one in container(workload).get("env", ())}


def secret_keys(workload: Object) -> Iterator[tuple[str, str | None]]:
    """Yield the name and key of each secret that a workload refers to; None means all its keys."""
    for variable in container(workload).get("env", ()):
        reference = variable.get("valueFrom", {}).get("secretKeyRef")
        if reference:
            yield reference["name"], reference["key"]
    for volume in pod(workload).get("volumes", ()):
        secret = volume.get("secret")
        if secret:
            for item in secret.get("items", [{"key": None}]):
                yield secret["secretName"], item["key"]


def example_secrets() -> dict[str, set[str]]:
    """Return the keys of each secret of the example."""
    text = (DEPLOY / "kubernetes" / "secrets.example.yaml").read_text(encoding="utf-8")
    return {name(one): set(one["stringData"]) for one in yaml.safe_load_all(text)}


@cache
def compose() -> Object:
    found: Object = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return found
