"""Asks a loaded model for all that serving and users ask, with fitting and odd input."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
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
_WIDEST = 100_000


def use(model: Any, data: Any) -> str:
    """Call each method with each input; return whether one answered, and a digest of the answers.

    The digest differs if an answer depends on memory that the model does not own.
    """
    digest = hashlib.sha256()
    answered = False
    for given in _inputs(model, data):
        for name in METHODS:
            for arguments in ((given,), ()):
                try:
                    _digest(getattr(model, name)(*arguments), digest)
                except Exception as refused:  # noqa: BLE001 - whatever Python raises is right
                    digest.update(type(refused).__name__.encode())
                    if not isinstance(refused, TypeError):
                        break
                else:
                    answered = True
                    break
    return f"{'predicted' if answered else 'raised'} {digest.hexdigest()[:16]}"


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


def _digest(answer: Any, digest: Any) -> None:
    if sparse.issparse(answer):
        answer = answer.toarray()
    if isinstance(answer, Iterator):
        answer = list(itertools.islice(answer, 5))
    if isinstance(answer, list | tuple):
        for part in answer:
            _digest(part, digest)
        return
    array = np.asarray(answer)
    digest.update(str((array.shape, array.dtype)).encode())
    digest.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
