"""Typical use of MLflow's client, by three of its versions, with `modelyard up`.

Each function of the scripts in `clients` is a test for each version. The functions do not depend on
Modelyard: those outside `beyond` also pass on MLflow's own server.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.compat import environments, running

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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.cls is not None:
        version = metafunc.cls.version
        names = [name for script in scripts(version) for name in functions(script)]
        metafunc.parametrize("name", names)


class WithMlflow:
    """The tests of a version. Each version has a class, so that they can run in parallel."""

    version: str

    @pytest.fixture(scope="class")
    @classmethod
    def ends(cls, tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
        """Return how each function ended: its traceback, or nothing."""
        folder = tmp_path_factory.mktemp("client")
        ends = folder / "ends"
        command = ("-m", "tests.compat.clients.run", str(ends), *scripts(cls.version))
        running.run(cls.version, *command, env=running.variables(tracking_uri), cwd=folder)
        lines = ends.read_text(encoding="utf-8").splitlines()
        return {end["name"]: end["failure"] for end in map(json.loads, lines)}

    def test_the_client_does_it(self, ends: dict[str, str], name: str) -> None:
        assert ends[name] == ""


class TestMlflow222(WithMlflow):
    version = "2.22"


class TestMlflow36(WithMlflow):
    version = "3.6"


class TestMlflow317(WithMlflow):
    version = "3.17"


def test_every_version_has_its_tests() -> None:
    assert [each.version for each in WithMlflow.__subclasses__()] == [*environments.VERSIONS]


def test_a_missing_environment_is_reported_with_the_command_that_creates_it() -> None:
    with pytest.raises(FileNotFoundError, match=r"MLflow 1\.0.*: make clients"):
        environments.python("1.0")
