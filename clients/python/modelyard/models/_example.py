"""Reads and writes `input_example.json` and `serving_input_example.json`."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard._documents import read_file, read_json
from modelyard.exceptions import InvalidParameter
from modelyard.models._cast import null_as_nan

_EXAMPLE = "input_example.json"
_SERVING_EXAMPLE = "serving_input_example.json"
_MAX_BYTES = 64 * 2**20
_MAX_VALUES = 5_000_000  # of a table with 100 columns, 50,000 rows
_WITH_PARAMS = 2


def write_example(folder: Path, example: Any) -> dict[str, Any]:
    """Write both files and return `saved_input_example_info` for the MLmodel file.

    Of a sparse matrix there is no request, which would have to be dense.

    Args:
        folder: The model folder.
        example: A DataFrame, numpy array, sparse matrix, dict or list of inputs; or a tuple of one
            of these and the params of a prediction.

    Raises:
        InvalidParameter: The example cannot be written as JSON.
    """
    info: dict[str, Any] = {"artifact_path": _EXAMPLE}
    data, params = split_params(example)
    try:
        kind, stored, served = _forms(data)
        info |= kind
        if params:
            info["params"] = "true"  # MLmodel files have it as text
            stored = {"inputs": stored, "params": _plain(params)}
        texts = {_EXAMPLE: json.dumps(stored, allow_nan=False)}
        if served is not None:
            request = served | ({"params": _plain(params)} if params else {})
            texts[_SERVING_EXAMPLE] = json.dumps(request, allow_nan=False)
            info["serving_input_path"] = _SERVING_EXAMPLE
    except (TypeError, ValueError, OverflowError, RecursionError, AttributeError) as unwritable:
        raise InvalidParameter(
            "The input example cannot be written as JSON: give a DataFrame, a numpy array, a "
            "sparse matrix, a dict or a list, of finite numbers, text and times."
        ) from unwritable
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return info


def read_served(folder: Path) -> Any:
    """Return the input of `serving_input_example.json` as serving reads it."""
    import pandas as pd

    body = _read_file(folder / _SERVING_EXAMPLE)
    if "dataframe_split" in body:
        return pd.DataFrame(
            body["dataframe_split"]["data"], columns=body["dataframe_split"]["columns"]
        )
    return body["inputs"]


def keep_from_serving(folder: Path, info: dict[str, Any]) -> None:
    """Remove the request that serving warms up with: it refuses models that fail on theirs."""
    (folder / _SERVING_EXAMPLE).unlink()
    del info["serving_input_path"]


def split_params(example: Any) -> tuple[Any, dict[str, Any]]:
    """Return the input and the params of an example; a tuple holds both."""
    if isinstance(example, tuple) and len(example) == _WITH_PARAMS and isinstance(example[1], dict):
        return example
    return example, {}


def _forms(data: Any) -> tuple[dict[str, str], Any, dict[str, Any] | None]:
    """Return the MLmodel entry for an example, the content of its file, and a request body."""
    import numpy as np
    import pandas as pd
    from scipy import sparse

    if sparse.issparse(data):
        matrix = data if data.format == "csc" else data.tocsr()
        parts = {name: getattr(matrix, name) for name in ("data", "indices", "indptr", "shape")}
        return {"type": f"sparse_matrix_{matrix.format}"}, _plain(parts), None
    table = data.to_frame() if isinstance(data, pd.Series) else data
    if isinstance(table, pd.DataFrame):
        if not table.columns.is_unique:
            raise InvalidParameter("The input example has several columns of one name.")
        if isinstance(table.columns, pd.MultiIndex):
            # As in the signature: columns of JSON have one name each.
            table = table.set_axis([str(label) for label in table.columns], axis="columns")
        text = table.to_json(
            orient="split", index=False, date_format="iso", default_handler=_no_form
        )
        stored = json.loads(text)
        return {"type": "dataframe", "pandas_orient": "split"}, stored, {"dataframe_split": stored}
    arrays = list(data.values()) if isinstance(data, Mapping) else [data]
    are_tensors = bool(arrays) and all(isinstance(array, np.ndarray) for array in arrays)
    stored = _plain(data)
    return {"type": "ndarray" if are_tensors else "json_object"}, stored, {"inputs": stored}


def _no_form(value: Any) -> Any:
    raise TypeError(type(value).__name__)


def _plain(value: Any) -> Any:
    """Convert arrays inside a dict or list to lists, with None for NaN, and times to text."""
    import numpy as np

    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    if isinstance(value, dt.date):  # also a datetime
        return value.isoformat()
    if not hasattr(value, "tolist"):
        return value
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in {"m", "M"}:  # their lists may be of nanoseconds
        raise TypeError(value.dtype)
    with_null: Any = np.where(np.isnan(value), None, value) if kind == "f" else value
    return with_null.tolist()


def read_example(folder: Path, info: dict[str, Any] | None) -> Any:
    """Return the example as it was logged; None if there is none.

    Raises:
        InvalidParameter: The file is damaged.
    """
    file = folder / _EXAMPLE
    if info is None or not file.is_file() or file.stat().st_size > _MAX_BYTES:
        return None
    try:
        stored = _read_file(file)
        return _read(stored["inputs"] if info.get("params") else stored, str(info.get("type")))
    except (ValueError, KeyError, TypeError, AttributeError) as damaged:
        raise InvalidParameter("The model's input example is damaged.") from damaged


def _read_file(file: Path) -> Any:
    return read_json(read_file(file, _MAX_BYTES), max_nodes=_MAX_VALUES)


def _read(stored: Any, kind: str) -> Any:
    import numpy as np
    import pandas as pd
    from scipy import sparse

    if kind == "dataframe":
        return pd.DataFrame(stored["data"], columns=stored.get("columns"))
    if kind == "ndarray" and isinstance(stored, Mapping):
        return {name: null_as_nan(np.asarray(array)) for name, array in stored.items()}
    if kind == "ndarray":
        return null_as_nan(np.asarray(stored))
    matrices = {"sparse_matrix_csr": sparse.csr_matrix, "sparse_matrix_csc": sparse.csc_matrix}
    if kind in matrices:
        data = null_as_nan(np.asarray(stored["data"]))
        parts = data, stored["indices"], stored["indptr"]
        return matrices[kind](parts, shape=tuple(stored["shape"]))
    return stored
