"""Render every overlay of deploy/kubernetes as kubectl does, and check it by Kubernetes' schemas.

Custom resources (of cert-manager, the Prometheus operator) have no schema here; the number of
unchecked objects is printed. Usage: python tools/check_manifests.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # published without types
import yaml

KUBERNETES = "1.34"  # the oldest supported version: its pods can sleep before they stop
MANIFESTS = Path(__file__).parents[1] / "deploy" / "kubernetes"
FOLDERS = ("overlays/small", "overlays/production", "model-server")
FOREIGN = frozenset({"Certificate", "Issuer", "PrometheusRule", "ServiceMonitor"})


def render(folder: Path) -> list[dict[str, Any]]:
    """Return the objects that `kubectl apply -k folder` would send."""
    kubectl = Path(sys.executable).with_name("kubectl")
    rendered = subprocess.run(
        [kubectl, "kustomize", folder], stdout=subprocess.PIPE, text=True, check=True
    )
    return list(yaml.safe_load_all(rendered.stdout))


def problems(objects: list[dict[str, Any]]) -> list[str]:
    """Return the violations of the schemas, a line each."""
    found = []
    for one in objects:
        if one["kind"] in FOREIGN:
            continue
        try:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            where = ".".join(str(part) for part in error.absolute_path)
            found.append(f"{one['kind']} {one['metadata']['name']}: {where}: {error.message}")
    return found


def main() -> int:
    """Check every overlay; return the exit code."""
    failed = False
    checked = [(name, render(MANIFESTS / name)) for name in FOLDERS]
    secrets = (MANIFESTS / "secrets.example.yaml").read_text(encoding="utf-8")
    checked.append(("secrets.example.yaml", list(yaml.safe_load_all(secrets))))
    for name, objects in checked:
        found = problems(objects)
        foreign = sum(one["kind"] in FOREIGN for one in objects)
        print(f"{name}: {len(objects) - foreign} objects checked, {foreign} custom resources not")
        for line in found:
            print(f"  {line}")
        failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
