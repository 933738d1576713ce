"""The sizes and places the house keeps to."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
PASS_ON = {
    "clients/python/modelyard/pyfunc/__init__.py": "log_model",
    "clients/python/modelyard/sklearn/__init__.py": "log_model",
}
"""Functions that only pass on MLflow's some twenty arguments, each on a line, twice."""


def hand_written() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.exists() and "modelyard/api/" not in str(path)]


SOURCES = hand_written()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_fits_in_the_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if not {"tests", "migrations"} & set(path.parts)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_function_fits_on_a_screen(path: Path) -> None:
    passes_on = PASS_ON.get(path.relative_to(ROOT).as_posix())
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != passes_on:
            docstring = ast.get_docstring(node, clean=False) or ""
            lines = (node.end_lineno or 0) - node.lineno - docstring.count("\n")
            assert lines <= MAX_FUNCTION_LINES, f"{node.name} has {lines} lines"
