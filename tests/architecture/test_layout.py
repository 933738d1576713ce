"""Limits on the sizes of files and functions."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
PASS_ON = {
    "clients/python/modelyard/pyfunc/__init__.py": "log_model",
    "clients/python/modelyard/sklearn/__init__.py": "log_model",
}
"""Functions that only forward MLflow's arguments, about twenty, on one line each, twice."""


def hand_written() -> list[Path]:
    """Return the Python files that are written by hand, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(line) for line in listed.stdout.splitlines()]
    return [path for path in paths if (ROOT / path).exists() and "modelyard/api/" not in str(path)]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the name of each function of a file, and its lines without those of its docstring."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            yield node.name, (node.end_lineno or 0) - node.lineno - docstring.count("\n")


def test_a_file_fits_in_the_head() -> None:
    lines = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in hand_written()
    }
    assert len(lines) > 400, "the listing lacks files"
    assert {path: count for path, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_a_function_fits_on_a_screen() -> None:
    paths = [path for path in hand_written() if not {"tests", "migrations"} & set(path.parts)]
    assert len(paths) > 200, "the listing lacks files"
    assert [
        f"{path}: {name} has {lines} lines"
        for path in paths
        for name, lines in functions(path)
        if lines > MAX_FUNCTION_LINES and PASS_ON.get(path.as_posix()) != name
    ] == []
