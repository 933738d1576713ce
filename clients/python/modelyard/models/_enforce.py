"""Converts a model's input to its signature, or refuses it.

Messages name columns and types, never values: the input may be personal data.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

from modelyard.exceptions import InvalidParameter
from modelyard.models._cast import cast_column, cast_tensor
from modelyard.types.schema import Array, ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

_TABLE_DIMENSIONS = 2


def invalid(message: str) -> InvalidParameter:
    return InvalidParameter(message)


def enforce_schema(data: Any, schema: Schema) -> Any:
    """Return `data` in the order and the types of `schema`.

    Args:
        data: A DataFrame, Series, numpy array, sparse matrix, dict of columns or list.
        schema: The inputs of a signature.

    Returns:
        A DataFrame for columns, an array (or dict of arrays by name) for tensors.

    Raises:
        InvalidParameter: The data does not fit; names missing columns, the widths, or the types
            that differ.
    """
    if schema.is_tensor_spec():
        if schema.has_input_names():
            return _named_tensors(data, schema)
        return _single_tensor(data, schema)
    return _columns(data, schema)


def is_records(data: Any) -> bool:
    """Whether `data` is a list of rows with named columns."""
    return isinstance(data, list) and bool(data) and all(isinstance(row, Mapping) for row in data)


def as_frame(data: Any) -> Any:
    """Return `data` as a DataFrame; columns of unnamed data are numbered."""
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame()
    if isinstance(data, Mapping):
        scalars = not any(
            isinstance(v, list | tuple | np.ndarray | pd.Series) for v in data.values()
        )
        return _frame([data] if scalars else dict(data))
    if isinstance(data, np.ndarray) and data.ndim > _TABLE_DIMENSIONS:
        raise invalid(
            f"The model expects a table of rows and columns, got an array of {data.ndim} "
            "dimensions."
        )
    return _frame(data if isinstance(data, list | np.ndarray) else [data])


def _frame(data: Any) -> Any:
    import pandas as pd

    try:
        return pd.DataFrame(data)
    except ValueError as ragged:
        raise invalid("The columns of the input differ in length.") from ragged


def is_numbered(frame: Any) -> bool:
    """Whether the columns are unnamed, that is numbered 0, 1, 2, …."""
    return list(frame.columns) == list(range(frame.shape[1]))


def in_order(frame: Any, names: list[Any], required: list[Any]) -> Any:
    """Return the columns `names`, in that order; others are dropped with a warning.

    Raises:
        InvalidParameter: A column of `required` is missing, or an unnamed frame has another width.
    """
    if is_numbered(frame):
        if frame.shape[1] != len(names):
            raise wrong_width(len(names), frame.shape[1])
        return frame.set_axis(names, axis="columns")
    missing = [name for name in required if name not in frame.columns]
    extra = [str(name) for name in frame.columns if name not in names]
    if missing:
        raise invalid(
            f"Missing column{'s' * (len(missing) > 1)} {_list(missing)}. "
            f"The model expects {_list(names)}; got {_list(frame.columns)}."
        )
    if extra:
        warnings.warn(f"Dropped columns that the model does not use: {_list(extra)}.", stacklevel=2)
    chosen = [name for name in names if name in frame.columns]
    # A copy may have another memory layout, which can change the last bit of a dot product.
    return frame if chosen == list(frame.columns) else frame[chosen]


_LISTED = 20


def _list(names: Any) -> str:
    shown = [repr(name) for name in list(names)[:_LISTED]]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def wrong_width(expected: int, got: int) -> InvalidParameter:
    return invalid(f"The model expects {expected} columns, got {got}.")


def _columns(data: Any, schema: Schema) -> Any:
    import pandas as pd

    frame = as_frame([data] if _is_one_row(data, schema) else data)
    if schema.has_input_names():
        frame = _by_name(frame, schema, keep_labels=isinstance(data, pd.DataFrame))
        present = {str(label) for label in frame.columns}
        specs = [spec for spec in schema.inputs if spec.name in present]
    else:
        frame, specs = _by_position(frame, schema), list(schema.inputs)
    cast = [
        cast_column(frame.iloc[:, position], spec.type, _label(spec, position), required=required)
        for position, spec in enumerate(specs)
        if isinstance(spec, ColSpec)
        for required in [spec.required]
    ]
    if all(column.dtype == dtype for column, dtype in zip(cast, frame.dtypes, strict=True)):
        return frame
    converted = pd.DataFrame(dict(enumerate(cast)), index=frame.index)
    return converted.set_axis(frame.columns, axis="columns")


def _label(spec: ColSpec, position: int) -> str | int:
    return position if spec.name is None else spec.name


def _by_position(frame: Any, schema: Schema) -> Any:
    """Return a frame of any names if the number of its columns is right."""
    import pandas as pd

    if frame.shape[1] != len(schema):
        raise wrong_width(len(schema), frame.shape[1])
    if isinstance(frame.columns, pd.RangeIndex):
        return frame
    return frame.set_axis(schema.input_names(), axis="columns")


def _by_name(frame: Any, schema: Schema, *, keep_labels: bool) -> Any:
    """Return the columns of the schema in its order; names of a signature are text.

    Args:
        frame: The input.
        schema: Columns with names.
        keep_labels: Whether labels that are no text, such as numbers and tuples, are kept.
    """
    names, required = schema.input_names(), schema.required_input_names()
    texts = [str(label) for label in frame.columns]
    known = {*names}
    twice = sorted(text for text, count in Counter(texts).items() if count > 1 and text in known)
    if twice:
        raise invalid(f"The input has several columns of the name {_list(twice)}.")
    if texts == list(frame.columns) or (is_numbered(frame) and not {*names} <= {*texts}):
        return in_order(frame, names, required)
    ordered = in_order(frame.set_axis(texts, axis="columns"), names, required)
    if not keep_labels:
        return ordered
    chosen = [texts.index(text) for text in ordered.columns]
    return frame if chosen == list(range(len(texts))) else frame.iloc[:, chosen]


def _is_one_row(data: Any, schema: Schema) -> bool:
    """Whether a mapping is one row and not columns; a list can be a value of an array column."""
    if not isinstance(data, Mapping):
        return False
    data = {str(name): value for name, value in data.items()}
    expected = {spec.name: spec.type for spec in schema.inputs if isinstance(spec, ColSpec)}
    return any(
        isinstance(expected.get(name), Array) and _depth(value) == _array_depth(expected[name])
        for name, value in data.items()
    )


def _array_depth(expected: Any) -> int:
    return 1 + _array_depth(expected.dtype) if isinstance(expected, Array) else 0


def _depth(value: Any) -> int:
    """Return the nesting depth of lists."""
    if not isinstance(value, list | tuple) and not hasattr(value, "tolist"):
        return 0
    return 1 + (_depth(value[0]) if len(value) else 0)


def _single_tensor(data: Any, schema: Schema) -> Any:
    (spec,) = schema.inputs
    if not isinstance(spec, TensorSpec):
        raise TypeError(spec)
    return cast_tensor(_array(data, spec), spec)


def _array(data: Any, spec: TensorSpec) -> Any:
    import numpy as np
    import pandas as pd
    from scipy import sparse

    if sparse.issparse(data) or isinstance(data, np.ndarray):
        return data
    if is_records(data) or isinstance(data, pd.DataFrame | Mapping):
        frame = as_frame(data)
        if len(spec.shape) == _TABLE_DIMENSIONS and spec.shape[1] not in {-1, frame.shape[1]}:
            raise wrong_width(spec.shape[1], frame.shape[1])
        return frame.to_numpy()
    try:
        return np.asarray(data)
    except ValueError as ragged:
        raise invalid("The rows of the input differ in length.") from ragged


def _named_tensors(data: Any, schema: Schema) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        data = {name: data[name].to_numpy() for name in data.columns}
    names = schema.input_names()
    if not isinstance(data, Mapping):
        if len(names) != 1:
            raise invalid(f"The model expects the named arrays {_list(names)}; got one unnamed.")
        data = {names[0]: data}
    data = {str(name): array for name, array in data.items()}
    missing = [name for name in names if name not in data]
    if missing:
        raise invalid(f"Missing {_list(missing)}. The model expects {_list(names)}.")
    extra = [name for name in data if name not in names]
    if extra:
        warnings.warn(f"Dropped arrays that the model does not use: {_list(extra)}.", stacklevel=2)
    return {
        str(spec.name): cast_tensor(np.asarray(data[spec.name]), spec)
        for spec in schema.inputs
        if isinstance(spec, TensorSpec)
    }


def enforce_params(params: Mapping[str, Any] | None, schema: ParamSchema | None) -> dict[str, Any]:
    """Return every parameter of `schema`: the caller's value, converted, or else the default.

    Raises:
        InvalidParameter: A value does not fit its type.
    """
    given = dict(params or {})
    specs = {spec.name: spec for spec in schema or ()}
    unknown = [name for name in given if name not in specs]
    if unknown:
        warnings.warn(
            f"Ignored parameters that the model does not have: {_list(unknown)}.", stacklevel=2
        )
    return {
        name: _param(given[name], spec) if name in given else spec.default
        for name, spec in specs.items()
    }


def _param(value: Any, spec: ParamSpec) -> Any:
    import numpy as np
    import pandas as pd

    if spec.shape is None:
        if isinstance(value, list | tuple | dict | np.ndarray):
            raise invalid(f"Parameter {spec.name!r} must be a single {spec.dtype}, got a list.")
        return cast_column(pd.Series([value]), spec.dtype, spec.name).tolist()[0]
    if not isinstance(value, list | tuple | np.ndarray):
        raise invalid(f"Parameter {spec.name!r} must be a list of {spec.dtype}.")
    return cast_column(pd.Series(list(value)), spec.dtype, spec.name).tolist()
