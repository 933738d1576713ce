"""Type conversions that preserve values."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping
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


def cast_column(series: Any, expected: ColumnType, name: Any, *, required: bool = True) -> Any:
    """Return `series` in the `expected` type, or unchanged if that can hold its values.

    Accepted are widening, integers that a float holds exactly, and doubles in the range of a float:
    JSON and CSV have no other numbers, and the model was trained on 5.1 rounded to a float. Any
    other conversion that could change a value is refused.

    Args:
        series: A column of any dtype, pandas' own ones included.
        expected: Type of the column.
        name: Name of the column, for errors.
        required: Whether missing values are refused where numpy has no form for them.

    Raises:
        InvalidParameter: The values do not fit; names the column and both types.
    """
    if isinstance(expected, AnyType):
        return series
    if not isinstance(expected, DataType):
        if not _all_are(series.tolist(), expected):
            raise _refused(name, _readable(expected), series)
        return series
    if expected in _NUMPY_NAMES:
        return _cast_number(series, expected, name, required=required)
    if expected is DataType.datetime:
        return _cast_datetime(series, name)
    wanted = str if expected is DataType.string else bytes | bytearray
    if not all(isinstance(value, wanted) for value in series.dropna().tolist()):
        raise _refused(name, expected, series)
    return series


def values_type(dtype: Any) -> Any:
    """Return the numpy dtype of a column's values; None if numpy has none for them."""
    import numpy as np
    import pandas as pd

    if isinstance(dtype, np.dtype):
        return dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return values_type(dtype.categories.dtype)
    # Sparse columns, and those with a mask or of pyarrow.
    own = dtype.subtype if isinstance(dtype, pd.SparseDtype) else getattr(dtype, "numpy_dtype", "")
    return np.dtype(own) if own != "" else None


def is_missing(value: Any) -> bool:
    """Whether a value of a column or list is None, NaN, NaT or NA."""
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _refused(name: Any, expected: str, series: Any) -> InvalidParameter:
    got = _described(series)
    if got == expected:
        return InvalidParameter(f"Column {name!r} has values that do not fit its type {expected}.")
    return InvalidParameter(f"Column {name!r} must be {expected}, got {got}.")


def _described(series: Any) -> str:
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        return f"categories of {series.dtype.categories.dtype}"
    if series.dtype.kind == "O":
        kinds = {_kind(value) for value in series.tolist() if not is_missing(value)}
        return " or ".join(sorted(kinds)) or "missing values"
    return str(series.dtype)


def _kind(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"list of {' or '.join(sorted({_kind(element) for element in value})) or 'nothing'}"
    kind = type(value).__name__
    return f"{kind} of {value.dtype}" if hasattr(value, "dtype") and value.ndim else kind


def _readable(expected: ColumnType) -> str:
    if isinstance(expected, Array):
        return f"list of {_readable(expected.dtype)}"
    if isinstance(expected, Map):
        return f"dict of {_readable(expected.value_type)}"
    if isinstance(expected, Object):
        return f"dict with {', '.join(repr(member.name) for member in expected.properties)}"
    return str(expected) if isinstance(expected, DataType) else "anything"


def _cast_number(series: Any, expected: DataType, name: Any, *, required: bool) -> Any:
    import numpy as np
    import pandas as pd

    target = np.dtype(_NUMPY_NAMES[expected])
    missing = series.isna().to_numpy(bool)
    if missing.any() and target.kind != "f" and required:
        raise InvalidParameter(f"Column {name!r} must be {expected}, but has missing values.")
    own = values_type(series.dtype)
    if own is not None and own == target:  # numpy takes None for a float64
        return series
    plain = _plain(series[~missing], own, target, whole=bool(missing.any()))
    if plain is None or not keeps_meaning(plain, target):
        raise _refused(name, expected, series)
    if own is not None and own.kind == "O" and missing.any() and target.kind != "f":
        return series
    filled = np.full(len(series), np.nan if target.kind == "f" else 0, target)
    filled[~missing] = plain
    if missing.any() and target.kind != "f":
        array = pd.arrays.BooleanArray if target.kind == "b" else pd.arrays.IntegerArray
        return pd.Series(array(filled, missing), index=series.index, name=series.name)
    return pd.Series(filled, index=series.index, name=series.name)


def _plain(present: Any, own: Any, target: Any, *, whole: bool) -> Any:
    """Return the present values of a column as a numpy array; None if they are no numbers.

    Args:
        present: The values that are not missing.
        own: Type of the values, by `values_type`.
        target: Type to convert them to.
        whole: Whether whole floats are integers, as in a column whose missing values are NaN.
    """
    if own is None:
        return None
    if not len(present):
        return present.to_numpy(dtype=target)
    # None in a JSON row makes an object column.
    values = _numbers(present.tolist()) if own.kind == "O" else present.to_numpy(dtype=own)
    if values is None:
        return None
    if whole and target.kind == "i" and values.dtype.kind == "f":
        is_whole = (abs(values) <= _EXACT_BELOW[8]).all() and (values % 1 == 0).all()
        return values.astype("int64") if is_whole else values
    return values


def _numbers(values: list[Any]) -> Any:
    """Return objects as a numpy array; None if these are no numbers or an int is rounded."""
    import numpy as np
    import pandas as pd

    found = pd.Series(values, dtype=object).infer_objects().to_numpy()
    if found.dtype.kind not in "biuf":
        return None
    ints = [value for value in values if isinstance(value, int | np.integer)]
    rounds = found.dtype.kind == "f" and any(int(float(value)) != value for value in ints)
    return None if rounds else found


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

    own = values_type(series.dtype)
    if series.dtype.kind == "M" or (own is not None and own.kind == "M"):
        return series
    values = series.dropna().tolist()
    are_dates = all(isinstance(value, dt.date) for value in values)
    if are_dates and not all(isinstance(value, dt.datetime) for value in values):
        return series  # a date is no time
    try:
        # JSON has times as text; only the ISO form is unambiguous.
        return pd.to_datetime(series, format="ISO8601")
    except (ValueError, TypeError, OverflowError) as other:
        if are_dates:
            return series  # pandas has no form for several time zones in a column
        raise _refused(name, "datetime (ISO 8601)", series) from other


def _all_are(values: Iterable[Any], expected: ColumnType) -> bool:
    """Whether all values that are not missing have a type."""
    import pandas as pd

    if isinstance(expected, AnyType):
        return True
    present = [value for value in values if not is_missing(value)]
    if isinstance(expected, Array):
        return all(_is_list(value) for value in present) and _all_are(
            itertools.chain.from_iterable(_elements(value) for value in present), expected.dtype
        )
    if isinstance(expected, Map | Object):
        return all(isinstance(value, Mapping) for value in present) and _have_members(
            present, expected
        )
    try:
        cast_column(pd.Series(present, dtype=object), expected, "")
    except InvalidParameter:
        return False
    return True


def _have_members(values: list[Mapping[Any, Any]], expected: Map | Object) -> bool:
    if isinstance(expected, Map):
        return all(isinstance(key, str) for value in values for key in value) and _all_are(
            [one for value in values for one in value.values()], expected.value_type
        )
    named = [{str(key): one for key, one in value.items()} for value in values]
    return all(
        all(member.name in value for value in named if member.required)
        and _all_are([v[member.name] for v in named if member.name in v], member.dtype)
        for member in expected.properties
    )


def _is_list(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping)


def _elements(value: Any) -> Any:
    is_plain = hasattr(value, "tolist") and value.dtype.kind in "biufO"
    return value.tolist() if is_plain else value


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
    if target == array.dtype or (target.kind in "US" and array.dtype.kind == target.kind):
        return array
    if target.name == array.dtype.name:
        return array.astype(target)  # of another byte order
    if target.kind == "O":
        return array.astype(object)
    if target.kind == "f" and array.dtype.kind == "O":
        array = null_as_nan(array)
    values = array.data if hasattr(array, "getnnz") else array
    if array.dtype.kind not in "biuf" or not keeps_meaning(values, target):
        raise InvalidParameter(f"{_tensor_name(spec)} must be {spec.dtype}, got {array.dtype}.")
    return array.astype(target)


def null_as_nan(array: Any) -> Any:
    """Return an array of numbers and None, JSON's NaN, as floats; others as they are."""
    import numpy as np

    if array.dtype.kind != "O" or not isinstance(array, np.ndarray):  # a sparse matrix
        return array
    flat = array.ravel()
    missing = np.array([value is None for value in flat], bool)
    floats = np.full(array.size, np.nan)
    if not missing.all():
        present = _numbers(flat[~missing].tolist())
        if not missing.any() or present is None or not keeps_meaning(present, floats.dtype):
            return array
        floats[~missing] = present
    return floats.reshape(array.shape)


def _tensor_name(spec: TensorSpec) -> str:
    return "The input" if spec.name is None else f"Input {spec.name!r}"


def _shape(lengths: tuple[int, ...]) -> str:
    return f"({', '.join(str(length) for length in lengths)})"
