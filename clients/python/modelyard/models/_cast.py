"""Type conversions that preserve values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.exceptions import InvalidParameter
from modelyard.types.schema import AnyType, Array, ColumnType, DataType, Map, Object, TensorSpec

_NUMPY_NAMES = {
    DataType.boolean: "bool",
    DataType.integer: "int32",
    DataType.long: "int64",
    DataType.float: "float32",
    DataType.double: "float64",
}
# Integers up to here are exact in a float of that many bytes.
_EXACT_BELOW = {4: 2**24, 8: 2**53}


def cast_column(series: Any, expected: ColumnType, name: Any) -> Any:
    """Return `series` in the `expected` type.

    Accepted are widening, integers that a float holds exactly, and doubles in the range of a float:
    JSON and CSV have no other numbers, and the model was trained on 5.1 rounded to a float. Any
    other conversion that could change a value is refused.

    Raises:
        InvalidParameter: The values do not fit; names the column and both types.
    """
    if isinstance(expected, AnyType):
        return series
    if not isinstance(expected, DataType):
        if not all(_is_of(value, expected) for value in series.tolist()):
            raise _refused(name, type(expected).__name__.lower(), series)
        return series
    if expected in _NUMPY_NAMES:
        return _cast_number(series, expected, name)
    if expected is DataType.datetime:
        return _cast_datetime(series, name)
    wanted = str if expected is DataType.string else bytes | bytearray
    if not all(isinstance(value, wanted) for value in series.dropna().tolist()):
        raise _refused(name, expected, series)
    return series


def _refused(name: Any, expected: str, series: Any) -> InvalidParameter:
    return InvalidParameter(f"Column {name!r} must be {expected}, got {_described(series)}.")


def _described(series: Any) -> str:
    if series.dtype.kind == "O":
        return " or ".join(sorted({type(value).__name__ for value in series.tolist()}))
    return str(series.dtype)


def _cast_number(series: Any, expected: DataType, name: Any) -> Any:
    import numpy as np
    import pandas as pd

    target = np.dtype(_NUMPY_NAMES[expected])
    # None in a JSON row makes an object column; without strings it is numeric.
    found = series.infer_objects() if series.dtype.kind == "O" else series
    if found.dtype.kind == "O" and target.kind == "f":
        numbers = found.map(lambda v: np.nan if v is None else v).infer_objects()
        found = numbers if numbers.dtype.kind == "f" else found
    if pd.api.types.is_extension_array_dtype(found.dtype) or found.dtype.kind not in "biuf":
        return _cast_extension(found, target, expected, name)
    if not keeps_meaning(found.to_numpy(), target):
        raise _refused(name, expected, series)
    return found.astype(target)


def _cast_extension(series: Any, target: Any, expected: DataType, name: Any) -> Any:
    """Cast a nullable column, whose missing values only a float can hold."""
    if series.dtype.kind not in "biuf" or (series.isna().any() and target.kind != "f"):
        raise _refused(name, expected, series)
    plain = series.dropna().to_numpy(series.dtype.numpy_dtype)
    if not keeps_meaning(plain, target):
        raise _refused(name, expected, series)
    return series.astype(target)


def keeps_meaning(values: Any, target: Any) -> bool:
    """Whether numpy `values` of any shape are the same numbers as dtype `target`."""
    import numpy as np

    source = values.dtype
    numbers = source.kind in "iuf" and target.kind in "iuf"
    if source == target or (numbers and not values.size):
        return True
    if not numbers or source.kind == "f":
        return bool(numbers and target.kind == "f" and _in_range(values, target))
    low, high = int(values.min()), int(values.max())
    if target.kind == "f":
        bound = _EXACT_BELOW.get(target.itemsize, 0)
        return -bound <= low and high <= bound
    limits = np.iinfo(target)
    return bool(limits.min <= low and high <= limits.max)


def _in_range(values: Any, target: Any) -> bool:
    import numpy as np

    finite = values[np.isfinite(values)]
    return bool((np.abs(finite) <= np.finfo(target).max).all())


def _cast_datetime(series: Any, name: Any) -> Any:
    import pandas as pd

    if series.dtype.kind == "M":
        return series
    try:
        # JSON has times as text; only the ISO form is unambiguous.
        return pd.to_datetime(series, format="ISO8601")
    except (ValueError, TypeError) as other:
        raise _refused(name, "datetime (ISO 8601)", series) from other


def _is_of(value: Any, expected: ColumnType) -> bool:
    import pandas as pd

    if value is None or isinstance(expected, AnyType):
        return True
    if isinstance(expected, Array):
        return (
            hasattr(value, "__len__")
            and not isinstance(value, str | bytes | Mapping)
            and all(_is_of(element, expected.dtype) for element in value)
        )
    if isinstance(expected, Map):
        return isinstance(value, Mapping) and all(
            isinstance(k, str) and _is_of(v, expected.value_type) for k, v in value.items()
        )
    if isinstance(expected, Object):
        return isinstance(value, Mapping) and all(
            _is_of(value[p.name], p.dtype) if p.name in value else not p.required
            for p in expected.properties
        )
    try:
        cast_column(pd.Series([value]), expected, "")
    except InvalidParameter:
        return False
    return True


def cast_tensor(array: Any, spec: TensorSpec) -> Any:
    """Return a numpy array or sparse matrix in the type of `spec`.

    Raises:
        InvalidParameter: The shape or the type does not match the spec.
    """
    import numpy as np

    shape_fits = array.ndim == len(spec.shape) and all(
        expected in {-1, got} for expected, got in zip(spec.shape, array.shape, strict=True)
    )
    if not shape_fits:
        raise InvalidParameter(
            f"{_tensor_name(spec)} must have shape {_shape(spec.shape)}, got {_shape(array.shape)}."
        )
    target = np.dtype(spec.dtype)
    if target.kind in "US" and array.dtype.kind == target.kind:
        return array
    if target.kind == "O":
        return array.astype(object)
    values = array.data if hasattr(array, "getnnz") else array
    if array.dtype.kind not in "biuf" or not keeps_meaning(values, target):
        raise InvalidParameter(f"{_tensor_name(spec)} must be {spec.dtype}, got {array.dtype}.")
    return array.astype(target)


def _tensor_name(spec: TensorSpec) -> str:
    return "The input" if spec.name is None else f"Input {spec.name!r}"


def _shape(lengths: tuple[int, ...]) -> str:
    return f"({', '.join(str(length) for length in lengths)})"
