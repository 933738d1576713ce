"""Asks a loaded model for all that serving and users ask, with fitting and odd input."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
from scipy import sparse
from tests.support.models.fitted import TABLE

METHODS = [
    *("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba"),
    *("decision_function", "score", "score_samples", "transform", "inverse_transform"),
    *("kneighbors", "radius_neighbors", "apply", "decision_path", "staged_predict"),
    *("get_support", "sample", "mahalanobis", "get_precision", "error_norm"),
]
REFUSED = "refused"
_WIDEST = 100_000


def answers(model: Any, data: Any) -> list[Any]:
    """Call each method with each input; return what it answered, or `REFUSED`."""
    found: list[Any] = []
    for given in _inputs(model, data):
        for name in METHODS:
            # Some write into their input.
            for arguments in ((deepcopy(given),), ()):
                try:
                    found += _arrays(getattr(model, name)(*arguments))
                except TypeError:
                    continue  # perhaps a method without input
                except Exception:  # noqa: BLE001 - whatever Python raises is right
                    found.append(REFUSED)
                break
            else:
                found.append(REFUSED)
    return found


def alike(first: list[Any], second: list[Any]) -> bool:
    """Whether two lists of answers are the same but for rounding, and for errors."""
    return len(first) == len(second) and all(map(_alike, first, second))


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return True  # an error in one of them may be of little memory
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind in "fc":
        scale = np.nanmax(np.abs(np.where(np.isfinite(one), one, 0)), initial=1)
        return np.allclose(one / scale, other / scale, rtol=1e-3, atol=1e-3, equal_nan=True)
    return one.dtype.hasobject or bool((one == other).mean() > 0.9 if one.size else True)


def _inputs(model: Any, data: Any) -> Iterator[Any]:
    """Yield input the estimator was fitted on, and input of the width it claims to take."""
    yield data
    yield data[:1]
    table = data if isinstance(data, np.ndarray) and data.dtype.kind == "f" else TABLE
    if table.ndim == 2:
        yield np.where(table > table.mean(), 1e30, -1e9)
        yield np.tile(table, (40, 1)).astype(np.float32)
        yield sparse.csr_matrix(table)
    width = vars(model).get("n_features_in_")
    if not isinstance(width, int | np.integer) or not 0 < width < 2**31:
        return
    if table.ndim != 2 or table.shape[1] != width:
        if width <= _WIDEST:
            yield np.full((30, int(width)), 1.5)
        yield sparse.csr_matrix(([1.0], ([0], [int(width) - 1])), shape=(3, int(width)))


def _arrays(answer: Any) -> list[Any]:
    if sparse.issparse(answer):
        answer = answer.toarray()
    if isinstance(answer, Iterator):
        answer = list(itertools.islice(answer, 5))
    if isinstance(answer, list | tuple):
        return [array for part in answer[:100] for array in _arrays(part)]
    return [np.array(answer)]
