"""Inputs for models of both sides; they are the same everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
IRIS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5], [5.9, 3.0, 4.2, 1.5]]
_BY_NAME: dict[str, Any] = {
    "signature_nested": {
        "list": [1, 2],
        "lists": [["a"], ["b", "c"]],
        "object": {"x": "a", "y": [1.5]},
        "map": {"k": 3},
    },
    "signature_tensor": np.asarray([[1.0, 2.0]], "float32"),
    "signature_tensors": {"a": np.asarray([[1.0, 2.0]]), "b": np.asarray([3])},
    "example_dict": {"q": "a", "n": [1, 2]},
}


def question(case: str) -> Any:
    """Return the input for a model, by the first word of its name."""
    if case in _BY_NAME:
        return _BY_NAME[case]
    if case == "signature_scalars":
        moment = pd.Timestamp("2026-01-02T03:04:05")
        row = (True, 1, 2, 1.5, 2.5, b"x", moment)
        names = ("boolean", "integer", "long", "float", "double", "binary", "datetime")
        types = {"integer": "int32", "float": "float32"}
        return pd.DataFrame([row], columns=list(names)).astype(types)
    if case.startswith(("sklearn_named", "sklearn_probabilities")):
        return pd.DataFrame(IRIS, columns=COLUMNS)
    if case.startswith("sklearn"):
        return np.asarray(IRIS)
    if case.startswith("texts"):
        return ["a", "b"]
    return pd.DataFrame({"a": [1.0, 2.0]})


def plain(answer: Any) -> Any:
    """Return an answer as a JSON value."""
    values = answer.to_numpy() if isinstance(answer, pd.DataFrame) else answer
    return values.tolist() if hasattr(values, "tolist") else values
