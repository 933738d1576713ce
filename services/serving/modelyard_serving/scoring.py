"""MLflow's scoring protocol: a request body becomes a model's input, its answer becomes JSON.

Runs in the worker. Messages name fields, columns and types, never values: the input may be personal
data. Phrases that MLflow's clients test for are kept.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import orjson
import pandas as pd

from modelyard.models import ModelSignature
from modelyard_kit.errors import InvalidArgument
from modelyard_serving import cells
from modelyard_serving.media import CSV

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_NUMERIC_KINDS = "biuf"
_WRITABLE_SIZES = {1, 2, 4, 8}  # bytes; orjson does not support long double


class Predicts(Protocol):
    """Interface of a loaded model."""

    @property
    def signature(self) -> ModelSignature | None: ...

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any: ...


def answer(model: Predicts, media_type: str, body: bytes) -> bytes:
    """Return the JSON answer of `model` to a request body.

    Args:
        model: Loaded model, which checks the input against its signature itself.
        media_type: `application/json` or `text/csv`.
        body: Request body in UTF-8.

    Raises:
        InvalidArgument: The body does not conform to the protocol.
        InvalidParameter: The input does not fit the signature.
        Exception: Any other error of the model.
    """
    params: Mapping[str, Any] = {}
    if media_type == CSV:
        data: Any = parse_csv(body, model.signature)
    else:
        data, params = parse_json(body)
    # Without a signature no params are passed: they would become arguments of a method that was not
    # written for untrusted callers.
    return render(model.predict(data, params=params if model.signature else None))


def parse_json(body: bytes) -> tuple[Any, dict[str, Any]]:
    """Return the input and the `params` of a JSON body.

    Returns:
        A DataFrame for the two dataframe forms. For `instances` and `inputs` a list of rows, or a
        dict of lists by name: arrays get their type from the signature.

    Raises:
        InvalidArgument: The body is not JSON, does not have exactly one input field, has no rows or
            too many cells, or the field does not have the form that its name requires.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as malformed:
        where = f"line {malformed.lineno}, column {malformed.colno}"
        raise InvalidArgument(
            "Failed to parse input from JSON. Ensure that input is a valid JSON formatted string; "
            f"it is not at {where}."
        ) from None
    forms = [form for form in _FORMS if isinstance(document, dict) and form in document]
    if len(forms) != 1:
        got = f"got {' and '.join(forms)}" if forms else "got none of them"
        raise InvalidArgument(
            "The input must be a JSON dictionary with exactly one of the input fields "
            f"{', '.join(_FORMS)}; {got}."
        )
    params = document.get("params")
    if params is not None and not isinstance(params, dict):
        raise InvalidArgument(f"params must be a dictionary. Got {_kind(params)}.")
    return _PARSERS[forms[0]](document[forms[0]]), params or {}


def _dataframe_split(value: Any) -> pd.DataFrame:
    if not isinstance(value, dict):
        raise InvalidArgument(
            f"Dataframe split format must be a dictionary. Got {_kind(value)}. "
            'Send {"columns": [...], "data": [[...], ...]}.'
        )
    rows, columns = value.get("data"), value.get("columns")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise _no_frame("split", "data must be a list of rows, each a list")
    if columns is not None and not _are_names(columns):
        raise _no_frame("split", "columns must be a list of different names")
    if not rows:
        raise InvalidArgument("The input has no rows.")
    width = len(rows[0] if columns is None else columns)
    cells.check_table(len(rows), width)
    odd = next((number for number, row in enumerate(rows) if len(row) != width), None)
    if odd is not None:
        raise _no_frame("split", f"row {odd} of data has {len(rows[odd])} values, expected {width}")
    return pd.DataFrame(rows, columns=columns)


def _are_names(columns: Any) -> bool:
    if not isinstance(columns, list) or not all(type(name) in {str, int} for name in columns):
        return False
    return len(set(columns)) == len(columns)


def _dataframe_records(value: Any) -> pd.DataFrame:
    if not isinstance(value, list):
        raise InvalidArgument(
            f"Dataframe records format must be a list of records. Got {_kind(value)}."
        )
    odd = next((n for n, record in enumerate(value) if not isinstance(record, dict)), None)
    if odd is not None:
        raise _no_frame("records", f"record {odd} is {_kind(value[odd])}, expected a dictionary")
    if not value:
        raise InvalidArgument("The input has no rows.")
    cells.check_records(value)
    return pd.DataFrame(value)


def _instances(value: Any) -> Any:
    """TensorFlow Serving's row format: rows, or records whose values are tensors."""
    if not isinstance(value, list):
        raise InvalidArgument(f"instances must be a list of rows. Got {_kind(value)}.")
    if not value:
        raise InvalidArgument("The input has no rows.")
    records = [row for row in value if isinstance(row, dict)]
    if not records:
        return _regular("instances", value)
    names = records[0].keys()
    if len(records) < len(value) or any(record.keys() != names for record in records):
        raise InvalidArgument("instances must all be rows, or all records of the same names.")
    cells.check_table(len(records), len(names))
    return {
        name: _regular(f"instances ({name!r})", [record[name] for record in records])
        for name in names
    }


def _inputs(value: Any) -> Any:
    """TensorFlow Serving's column format: one tensor, or tensors by name."""
    if isinstance(value, dict):
        if not value:
            raise InvalidArgument("inputs must not be empty.")
        cells.check_table(1, len(value))
        return {
            name: _regular(f"inputs ({name!r})", tensor if isinstance(tensor, list) else [tensor])
            for name, tensor in value.items()
        }
    if not isinstance(value, list):
        raise InvalidArgument(f"inputs must be a list or a dictionary. Got {_kind(value)}.")
    if not value:
        raise InvalidArgument("The input has no rows.")
    if all(isinstance(row, dict) for row in value):
        cells.check_records(value)
        return pd.DataFrame(value)
    return _regular("inputs", value)


def _regular(field: str, tensor: list[Any]) -> list[Any]:
    cells.check_tensor(tensor)
    try:
        np.asarray(tensor)
    except ValueError:
        raise InvalidArgument(f"The rows of {field} differ in length.") from None
    except (OverflowError, RecursionError):
        raise InvalidArgument(
            f"{field} is nested too deeply or holds a number too large."
        ) from None
    return tensor


_PARSERS = {
    "dataframe_split": _dataframe_split,
    "dataframe_records": _dataframe_records,
    "instances": _instances,
    "inputs": _inputs,
}


def parse_csv(body: bytes, signature: ModelSignature | None) -> pd.DataFrame:
    """Return the table of a CSV body, whose first line names the columns.

    Raises:
        InvalidArgument: The body is not UTF-8, not CSV, has no rows or too many cells.
    """
    try:
        text = body.decode("utf-8-sig")
        cells.check_csv(text)
        frame = pd.read_csv(io.StringIO(text), dtype=_text_columns(signature))
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"The CSV input must be UTF-8; byte {error.start} is not.") from None
    except pd.errors.EmptyDataError:
        raise InvalidArgument("The input has no rows.") from None
    except (pd.errors.ParserError, ValueError):
        raise InvalidArgument(
            "Failed to parse input as CSV. Ensure that the input is a valid CSV formatted string: "
            "a line of column names, then as many values in every line."
        ) from None
    if frame.empty:
        raise InvalidArgument("The input has no rows.")
    return frame


def _text_columns(signature: ModelSignature | None) -> dict[Any, type]:
    """Return the text columns of a signature: "007" would otherwise be read as the number 7."""
    if signature is None or signature.inputs is None or signature.inputs.is_tensor_spec():
        return {}
    described = signature.inputs.to_dict()
    return {column["name"]: str for column in described if column.get("type") == "string"}


def render(predictions: Any) -> bytes:
    """Return `{"predictions": …}` as JSON, with null for NaN and infinities, which JSON lacks.

    A DataFrame becomes a list of records, bytes become base64 text.

    Raises:
        TypeError: The model returned a type that JSON cannot represent.
    """
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps({"predictions": _plain(predictions)}, default=_plain, option=options)


def _plain(value: Any) -> Any:
    """Return `value` in types that orjson can write; it calls back for other types inside."""
    for kinds, converted in _CONVERSIONS:
        if isinstance(value, kinds):
            return converted(value)
    if hasattr(value, "getnnz"):  # a sparse matrix; avoids importing scipy
        return value.toarray().tolist()
    raise TypeError(f"the model returned {type(value).__name__}, which JSON cannot represent")


def _array(array: Any) -> Any:
    writable = array.flags.c_contiguous and array.dtype.kind in _NUMERIC_KINDS and array.ndim
    return array if writable and array.dtype.itemsize in _WRITABLE_SIZES else array.tolist()


_CONVERSIONS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (pd.DataFrame, lambda frame: frame.to_dict(orient="records")),
    (pd.Series | pd.Index, lambda series: series.tolist()),
    (np.ndarray, _array),
    (bytes | bytearray, lambda data: base64.b64encode(data).decode()),
    (type(pd.NaT) | type(pd.NA), lambda _: None),
    (pd.Timestamp, lambda time: time.isoformat()),
    (np.longdouble, float),
    (np.generic, lambda scalar: scalar.item()),
    (set | frozenset, list),
    (list | tuple | dict | str | int | float | None, lambda value: value),
)


def _no_frame(orient: str, reason: str) -> InvalidArgument:
    return InvalidArgument(
        f"The dataframe_{orient} field is not a valid dataframe representation in the "
        f"'{orient}' format: {reason}."
    )


def _kind(value: Any) -> str:
    return type(value).__name__
