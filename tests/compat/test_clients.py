"""What users do with MLflow's client, done by three of its versions on `modelyard up`.

Each function of the scripts in `clients` is a test for each version. The functions say nothing of
Modelyard: those outside `beyond` pass on MLflow's own server too.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from compat import environments, running

SCRIPTS = Path(__file__).parent / "clients"


def functions(script: str) -> Iterator[str]:
    tree = ast.parse((SCRIPTS / f"{script}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{script}.{node.name}"


def scripts(version: str) -> list[str]:
    """Return the names of the scripts that this version can run."""
    names = sorted(path.stem for path in SCRIPTS.glob("*.py"))
    return [
        name
        for name in names
        if name not in ("run", "refusals")
        and not (name == "logged_models" and version.startswith("2."))
    ]


@pytest.fixture(scope="module")
def ends(
    tracking_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, str]]:
    """Return what tells how each function ended in a version: its traceback, or nothing."""

    @cache
    def of(version: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("client")
        ends = folder / "ends"
        command = ("-m", "compat.clients.run", str(ends), *scripts(version))
        running.run(version, *command, env=running.variables(tracking_uri), cwd=folder)
        lines = ends.read_text(encoding="utf-8").splitlines()
        return {end["name"]: end["failure"] for end in map(json.loads, lines)}

    return of


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (version, name)
        for version in environments.VERSIONS
        for script in scripts(version)
        for name in functions(script)
    ],
)
def test_the_client_does_it(ends: Callable[[str], dict[str, str]], version: str, name: str) -> None:
    assert ends(version)[name] == ""


def test_an_environment_that_is_missing_names_the_command_that_makes_it() -> None:
    with pytest.raises(FileNotFoundError, match=r"MLflow 1\.0.*: make clients"):
        environments.python("1.0")
