"""`input_example.json` and `serving_input_example.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard.exceptions import InvalidParameter

_EXAMPLE = "input_example.json"
_SERVING_EXAMPLE = "serving_input_example.json"
_MAX_BYTES = 64 * 2**20


def write_example(folder: Path, example: Any) -> dict[str, Any]:
    """Write both files and return `saved_input_example_info` for the MLmodel file.

    Args:
        folder: The model folder.
        example: A DataFrame, numpy array, dict or list of inputs.

    Raises:
        InvalidParameter: For anything JSON has no form for.
    """
    import numpy as np
    import pandas as pd

    info: dict[str, Any] = {"artifact_path": _EXAMPLE, "serving_input_path": _SERVING_EXAMPLE}
    try:
        if isinstance(example, pd.Series):
            example = example.to_frame()
        if isinstance(example, pd.DataFrame):
            info |= {"type": "dataframe", "pandas_orient": "split"}
            text = example.to_json(
                orient="split", index=False, date_format="iso", default_handler=_no_form
            )
            stored = json.loads(text)
            served: Any = {"dataframe_split": stored}
        elif isinstance(example, np.ndarray):
            info |= {"type": "ndarray", "format": "tf-serving"}
            stored = served = {"inputs": example.tolist()}
        else:
            info |= {"type": "json_object"}
            stored = _plain(example)
            served = {"inputs": stored}
        texts = json.dumps(stored, allow_nan=False), json.dumps(served, allow_nan=False)
    except (TypeError, ValueError, OverflowError) as unwritable:
        raise InvalidParameter(
            "The input example cannot be written as JSON: give a DataFrame, a numpy array, a dict "
            "or a list, of finite numbers, text and times."
        ) from unwritable
    for name, text in zip((_EXAMPLE, _SERVING_EXAMPLE), texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    return info


def _no_form(value: Any) -> Any:
    raise TypeError(type(value).__name__)


def _plain(value: Any) -> Any:
    """Arrays inside a dict or list become lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    return value.tolist() if hasattr(value, "tolist") else value


def read_example(folder: Path, info: dict[str, Any] | None) -> Any:
    """Return the example as it was given, None when there is none.

    Raises:
        InvalidParameter: The file is damaged.
    """
    import numpy as np
    import pandas as pd

    file = folder / _EXAMPLE
    if info is None or not file.is_file() or file.stat().st_size > _MAX_BYTES:
        return None
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        if info.get("type") == "dataframe":
            return pd.DataFrame(stored["data"], columns=stored.get("columns"))
        return np.asarray(stored["inputs"]) if info.get("type") == "ndarray" else stored
    except (ValueError, KeyError, TypeError, AttributeError) as damaged:
        raise InvalidParameter("The model's input example is damaged.") from damaged
