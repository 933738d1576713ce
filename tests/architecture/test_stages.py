"""Only one function changes the stage of a version, so that its checks apply to every change."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REGISTRY = Path(__file__).parents[2] / "services" / "registry" / "modelyard_registry"
WRITERS = {"set", "values", "_replace"}
"""Functions whose argument `stage` is a new value of the column."""


def named(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def is_none(value: ast.expr) -> bool:
    return ast.unparse(value) in {"Stage.NONE", "str(Stage.NONE)"}


def writes(node: ast.AST) -> Iterator[int]:
    """Yield the lines that set the stage of a version."""
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Attribute) and target.attr == "stage" for target in targets):
            yield node.lineno
    elif isinstance(node, ast.Call):
        for argument in node.keywords:
            is_write = named(node) in WRITERS or (
                named(node) in {"ModelVersion", "Version"} and not is_none(argument.value)
            )
            if argument.arg == "stage" and is_write:
                yield node.lineno
        if named(node) == "setattr" and '"stage"' in ast.unparse(node).replace("'", '"'):
            yield node.lineno
    elif isinstance(node, ast.Dict):
        yield from (
            node.lineno
            for key in node.keys
            if isinstance(key, ast.Constant) and key.value == "stage"
        )


def written(source: str) -> list[str]:
    """Return the functions that set the stage of a version."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
        for _ in writes(inner)
    ]


def test_nothing_but_occupy_gives_a_version_a_stage() -> None:
    found = {
        (path.relative_to(REGISTRY).as_posix(), function)
        for path in REGISTRY.rglob("*.py")
        if "migrations" not in path.parts
        for function in written(path.read_text(encoding="utf-8"))
    }
    assert found == {("operations/stages.py", "occupy")}


@pytest.mark.parametrize(
    "line",
    [
        "version.stage = stage",
        "change.set(version, stage=stage)",
        "version._replace(stage=stage)",
        "change.add(Version(name=name, stage=str(Stage.PRODUCTION)))",
        "change.add(ModelVersion(name=name, stage=Stage.PRODUCTION))",
        "session.execute(update(ModelVersion).values(stage=stage))",
        "session.execute(_MOVED, {'stage': stage})",
        "setattr(version, 'stage', stage)",
    ],
)
def test_another_way_would_be_found(line: str) -> None:
    assert written(f"def move():\n    {line}\n")


def test_a_new_version_in_no_stage_is_none() -> None:
    assert not written("def make():\n    ModelVersion(name=name, stage=Stage.NONE)\n")
    assert not written("def make():\n    Version(name=name, stage=str(Stage.NONE))\n")
