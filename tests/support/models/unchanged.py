"""Compares what estimators answer before they are stored and after they are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from tests.support.models.fitted import Fitted

from modelyard.sklearn import _skops_file

_METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")


def changed_answers(
    models: Iterable[Fitted], stored: Mapping[str, bytes], folder: Path
) -> dict[str, str]:
    """Return the methods, by model, that answer differently once the model is loaded.

    Args:
        models: Fitted estimators.
        stored: Their files, by name.
        folder: Where to write a file for the loader.
    """
    path = folder / "model.skops"
    changed = {}
    for fitted in models:
        path.write_bytes(stored[fitted.name])
        loaded = _skops_file.load(path)
        for method in _METHODS:
            if not _alike(
                _answer(fitted, method), _answer(Fitted("", loaded, fitted.data), method)
            ):
                changed[fitted.name] = method
    return changed


def _answer(fitted: Fitted, method: str) -> Any:
    np.random.seed(0)  # noqa: NPY002 - what scikit-learn takes where no state is given
    try:
        answer = getattr(fitted.model, method)(fitted.data)
    except Exception as refused:  # noqa: BLE001 - the same refusal is right
        return np.array(type(refused).__name__)
    return answer.toarray() if sparse.issparse(answer) else answer


def _alike(before: Any, after: Any) -> bool:
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(_alike, before, after))
    if np.asarray(before).dtype.kind == "f":  # sums depend on where memory begins
        return np.allclose(before, after, rtol=1e-9, atol=1e-12, equal_nan=True)
    return bool(np.array_equal(before, after))
