"""Each role starts with only the packages of its image, those of its extras."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from tests.support.processes.manifests import DEPLOY

DOCKERFILE = (DEPLOY / "docker" / "Dockerfile").read_text(encoding="utf-8")
EXTRAS = {
    role: extras.split(",")
    for role, extras in re.findall(
        r"^FROM build AS (\w+)-packages\nRUN install-role (\S+)$", DOCKERFILE, re.MULTILINE
    )
}
MODULES = {
    "tracking": ["modelyard_server.processes.tracking"],
    "registry": ["modelyard_server.processes.registry"],
    "serving": ["modelyard_server.processes.serving", "modelyard_server.processes.models_serve"],
    "gateway": ["modelyard_server.processes.gateway"],
    "tools": [
        "modelyard_server.admin.migrate",
        "modelyard_server.processes.databases",
        "modelyard_server.admin.tokens",
        "modelyard_server.admin.gc",
        "modelyard_server.admin.erase",
        "modelyard_server.admin.backup",
        "modelyard_server.admin.restore",
    ],
}
IMPORT_WITHOUT = """
import importlib, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r} in this image", name=name)

missing, modules = (given.split(",") for given in sys.argv[1:])
sys.meta_path.insert(0, Missing())
for module in modules:
    importlib.import_module(module)
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(extras: list[str]) -> set[str]:
    """Return the names of the distributions that `modelyard[extras]` installs."""
    found: set[tuple[str, str]] = set()
    waiting = [("modelyard", extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        for text in requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(canonical(needed.name), more) for more in ("", *needed.extras)]
    return {name for name, _ in found}


@pytest.mark.parametrize("role", sorted(MODULES))
def test_a_role_imports_nothing_that_its_image_lacks(role: str) -> None:
    there = installed(EXTRAS[role])
    missing = [
        module
        for module, distributions in packages_distributions().items()
        if not there & {canonical(name) for name in distributions} and module.isidentifier()
    ]
    assert "hypothesis" in missing
    assert ("sklearn" in missing) is (role != "serving")
    subprocess.run(
        [sys.executable, "-c", IMPORT_WITHOUT, ",".join(missing), ",".join(MODULES[role])],
        check=True,
        timeout=60,
    )


def test_each_image_has_its_modules_here() -> None:
    assert set(EXTRAS) == set(MODULES)
