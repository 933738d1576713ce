"""Changes the contents of a skops file, for tests that it is refused."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from modelyard.exceptions import ModelyardException
from modelyard.sklearn import _skops_file

Edit = Callable[[Any], Any]


def saved(model: BaseEstimator, folder: Path) -> Path:
    path = folder / "model.skops"
    _skops_file.save(model, path)
    return path


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the members of a skops file, keeping its sizes and checksums correct."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def edit_arrays(path: Path, wanted: Callable[[Any], bool], edit: Edit) -> None:
    """Replace each stored array that is `wanted`."""
    edited = 0

    def change(members: dict[str, bytes]) -> None:
        nonlocal edited
        for name in [name for name in members if name.endswith(".npy")]:
            array = np.load(io.BytesIO(members[name]))
            if wanted(array):
                buffer = io.BytesIO()
                np.save(buffer, edit(array.copy()))
                members[name] = buffer.getvalue()
                edited += 1

    rewrite(path, change)
    assert edited, "nothing was forged"


def edit_schema(path: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    def change(members: dict[str, bytes]) -> None:
        schema = json.loads(members["schema.json"])
        edit(schema)
        members["schema.json"] = json.dumps(schema).encode()

    rewrite(path, change)


def nodes_in(schema: Any, key: str, value: str) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for part in schema for found in nodes_in(part, key, value)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get(key) == value else []
    return own + [found for part in schema.values() for found in nodes_in(part, key, value)]


def is_tree(array: Any) -> bool:
    return "left_child" in (array.dtype.names or ())


def is_histogram_tree(array: Any) -> bool:
    return "feature_idx" in (array.dtype.names or ())


def set_first(field: str, value: int) -> Edit:
    def edit(nodes: Any) -> Any:
        nodes[field][0] = value
        return nodes

    return edit


def refusal(path: Path) -> str:
    with pytest.raises(ModelyardException) as caught:
        _skops_file.load(path)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "\n" not in caught.value.message
    assert str(path.parent) not in caught.value.message
    return caught.value.message


def number(text: str) -> dict[str, Any]:
    """Return a node of its own; skops stores equal numbers once and refers to them by id."""
    return {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": text}
