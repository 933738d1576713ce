"""Converts input to the form an estimator was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.exceptions import InvalidParameter
from modelyard.models._enforce import as_frame, in_order, invalid, is_records, wrong_width

_TABLE_DIMENSIONS = 2


def needs_names(estimator: Any) -> bool:
    """Whether the estimator was trained on named columns."""
    return getattr(estimator, "feature_names_in_", None) is not None


def fit_to(estimator: Any, data: Any) -> Any:
    """Return `data` with the columns `estimator` was trained on.

    Named columns are accepted by an estimator trained without names and vice versa, if their
    number is right.

    Args:
        estimator: A fitted scikit-learn estimator.
        data: A DataFrame, Series, numpy array, sparse matrix, dict of columns or list of rows.

    Raises:
        InvalidParameter: The data does not fit; names the missing columns or both widths.
    """
    from scipy import sparse

    if sparse.issparse(data):
        _check_width(estimator, data.shape)
        return data
    if needs_names(estimator):
        names = [str(name) for name in estimator.feature_names_in_]
        return in_order(as_frame(data), names, names)
    if getattr(estimator, "n_features_in_", None) is None:
        return _documents(data)
    table = _as_array(data)
    _check_width(estimator, table.shape)
    return table


def as_table(example: Any) -> Any:
    """Convert an input example for estimators: lists of rows to arrays, dicts to frames.

    An example that cannot be converted is returned as it is.
    """
    import numpy as np

    try:
        if is_records(example) or isinstance(example, Mapping):
            return as_frame(example)
        rows = isinstance(example, list) and example and all(isinstance(r, list) for r in example)
        return np.asarray(example) if rows else example
    except (InvalidParameter, ValueError, TypeError):
        return example


def _as_array(data: Any) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(data, np.ndarray):
        return data
    if is_records(data) or isinstance(data, pd.DataFrame | pd.Series | Mapping):
        return as_frame(data).to_numpy()
    try:
        return np.asarray(data)
    except ValueError as ragged:
        raise invalid("The rows of the input differ in length.") from ragged


def _check_width(estimator: Any, shape: tuple[int, ...]) -> None:
    expected = getattr(estimator, "n_features_in_", None)
    if expected is None:
        return
    if len(shape) != _TABLE_DIMENSIONS:
        raise invalid(
            f"The model expects rows of {expected} columns, got an array of {len(shape)} "
            f"dimension{'s' * (len(shape) != 1)}."
        )
    if shape[1] != expected:
        raise wrong_width(expected, shape[1])


def _documents(data: Any) -> Any:
    """Convert a table of one column to the list of texts that a text estimator takes."""
    import numpy as np
    import pandas as pd

    table = as_frame(data) if isinstance(data, Mapping) else data
    if isinstance(table, pd.DataFrame) and table.shape[1] == 1:
        return table.iloc[:, 0]
    if isinstance(table, np.ndarray) and table.ndim == _TABLE_DIMENSIONS and table.shape[1] == 1:
        return table[:, 0]
    return table
