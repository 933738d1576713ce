"""Infers schemas from examples."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from modelyard.exceptions import InvalidParameter
from modelyard.models._cast import is_missing, values_type
from modelyard.types.schema import (
    AnyType,
    Array,
    ColSpec,
    ColumnType,
    DataType,
    Object,
    ParamSchema,
    ParamSpec,
    Property,
    Schema,
    TensorSpec,
)

_INTEGER_BYTES = 4
_LONG_BYTES = 8
_TENSOR_KINDS = "biufcmMSUO"


def infer_schema(data: Any) -> Schema:
    found = _schema_of(data)
    if not len(found):  # MLflow does not read a schema without columns
        raise InvalidParameter("A signature cannot describe data without columns.")
    return found


def _schema_of(data: Any) -> Schema:
    import numpy as np
    import pandas as pd
    from scipy import sparse

    if isinstance(data, pd.DataFrame):
        return _frame_schema(data)
    if isinstance(data, pd.Series):
        return Schema([_column(data, str(data.name), named=data.name is not None)])
    if isinstance(data, np.ndarray) or sparse.issparse(data):
        return Schema([_tensor(data)])
    if isinstance(data, Mapping):
        return _mapping_schema(data)
    if isinstance(data, Sequence) and not isinstance(data, str | bytes) and data:
        return _list_schema(data)
    return Schema([ColSpec(_type_of(data, "the value"))])


def _mapping_schema(data: Mapping[Any, Any]) -> Schema:
    import numpy as np

    if data and all(isinstance(value, np.ndarray) for value in data.values()):
        return Schema([_tensor(value, str(name)) for name, value in data.items()])
    return Schema([ColSpec(_type_of(value, str(name)), str(name)) for name, value in data.items()])


def _list_schema(data: Sequence[Any]) -> Schema:
    import pandas as pd

    if all(isinstance(row, Mapping) for row in data):
        return _frame_schema(pd.DataFrame(list(data)))
    kinds = [_type_of(value, "an element") for value in data]
    return Schema([ColSpec(_common(kinds, "the list"))])


def infer_param_schema(params: Mapping[str, Any]) -> ParamSchema:
    return ParamSchema(tuple(_param(name, value) for name, value in params.items()))


def _param(name: str, default: Any) -> ParamSpec:
    kind = _type_of(default, name)
    if isinstance(kind, Array) and isinstance(kind.dtype, DataType):
        plain = default.tolist() if hasattr(default, "tolist") else list(default)
        return ParamSpec(name, kind.dtype, plain, (-1,))
    if isinstance(kind, DataType):
        return ParamSpec(name, kind, default.item() if hasattr(default, "item") else default)
    raise InvalidParameter(
        f"Parameter {name!r} must be a scalar or a list of scalars, got {type(default).__name__}."
    )


def _tensor(array: Any, name: str | None = None) -> TensorSpec:
    if array.dtype.kind not in _TENSOR_KINDS:
        raise _no_counterpart("an array" if name is None else f"array {name!r}", str(array.dtype))
    if array.ndim == 0:
        return TensorSpec(array.dtype, (), name)
    return TensorSpec(array.dtype, (-1, *array.shape[1:]), name)


def _frame_schema(frame: Any) -> Schema:
    import pandas as pd

    # A frame made from an array has numbered columns, known by position.
    named = not isinstance(frame.columns, pd.RangeIndex)
    return Schema(
        [
            _column(frame.iloc[:, position], str(label), named=named)
            for position, label in enumerate(frame.columns)
        ]
    )


def _column(series: Any, label: str, *, named: bool = True) -> ColSpec:
    missing = bool(series.isna().any())
    where = f"column {label!r}"
    dtype = _dtype_of(series.dtype, where)
    if dtype is None:
        values = [value for value in series.tolist() if not is_missing(value)]
        kinds = [_type_of(value, where) for value in values]
        kind: ColumnType = _common(kinds, where) if kinds else AnyType()
    else:
        kind = dtype
        # Missing floats are NaN, an ordinary value of a float column.
        missing = missing and dtype not in {DataType.float, DataType.double}
    return ColSpec(kind, label if named else None, required=not missing)


def _dtype_of(dtype: Any, where: str) -> DataType | None:
    """Return the scalar type of a column's dtype; None if its values must be inspected."""
    import pandas as pd

    if isinstance(dtype, pd.CategoricalDtype):
        return _dtype_of(dtype.categories.dtype, where)
    if isinstance(dtype, pd.StringDtype):
        return DataType.string
    if isinstance(dtype, pd.DatetimeTZDtype):
        return DataType.datetime
    own = values_type(dtype)
    return None if own is None or own.kind == "O" else _scalar_type(own, where)


def _scalar_type(dtype: Any, where: str) -> DataType:
    """Return the type for a numpy dtype."""
    unsigned = dtype.kind == "u"
    if dtype.kind in "iu" and dtype.itemsize + unsigned <= _LONG_BYTES:
        return DataType.integer if dtype.itemsize + unsigned <= _INTEGER_BYTES else DataType.long
    if dtype.kind == "f" and dtype.itemsize <= _LONG_BYTES:
        return DataType.float if dtype.itemsize <= _INTEGER_BYTES else DataType.double
    by_kind = {
        "b": DataType.boolean,
        "U": DataType.string,
        "S": DataType.binary,
        "M": DataType.datetime,
    }
    if dtype.kind not in by_kind:
        raise _no_counterpart(where, str(dtype))
    return by_kind[dtype.kind]


def _type_of(value: Any, where: str) -> ColumnType:
    import numpy as np

    if isinstance(value, np.ndarray):
        kinds: list[ColumnType] = (
            [_type_of(element, where) for element in value.tolist()]
            if value.dtype.hasobject
            else [_scalar_type(value.dtype, where)]
        )
        kind: ColumnType = _common(kinds, where)
        for _ in range(value.ndim):
            kind = Array(kind)
        return kind
    if isinstance(value, Mapping):
        return Object(tuple(Property(str(k), _type_of(v, where)) for k, v in value.items()))
    if isinstance(value, list | tuple):
        return Array(_common([_type_of(element, where) for element in value], where))
    if isinstance(value, np.generic):
        return _scalar_type(value.dtype, where)
    return _python_type(value, where)


def _python_type(value: Any, where: str) -> ColumnType:
    by_type: list[tuple[type, DataType]] = [
        (bool, DataType.boolean),
        (int, DataType.long),
        (float, DataType.double),
        (str, DataType.string),
        (bytes | bytearray, DataType.binary),  # type: ignore[list-item] # isinstance takes unions
        (dt.datetime | dt.date, DataType.datetime),  # type: ignore[list-item]
    ]
    if value is None or (is_missing(value) and not isinstance(value, float)):
        return AnyType()
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _no_counterpart(where, "an int of more than 64 bits")
    for kind, data_type in by_type:
        if isinstance(value, kind):
            return data_type
    raise _no_counterpart(where, type(value).__name__)


def _common(kinds: list[ColumnType], where: str) -> ColumnType:
    """Return one type for all: objects are merged, other types must agree."""
    known = list(dict.fromkeys(kind for kind in kinds if not isinstance(kind, AnyType)))
    if not known:
        return AnyType()
    if len(known) == 1:
        return known[0]
    if all(isinstance(kind, Object) for kind in known):
        return _joined([kind for kind in known if isinstance(kind, Object)], where)
    if all(isinstance(kind, Array) for kind in known):
        return Array(_common([kind.dtype for kind in known if isinstance(kind, Array)], where))
    if set(known) <= {DataType.long, DataType.double}:
        return DataType.double
    names = ", ".join(
        sorted({str(k) if isinstance(k, DataType) else type(k).__name__ for k in known})
    )
    raise InvalidParameter(f"A column must have one type; {where} mixes {names}.")


def _joined(objects: list[Object], where: str) -> Object:
    members: dict[str, list[Property]] = {}
    for described in objects:
        for member in described.properties:
            members.setdefault(member.name, []).append(member)
    return Object(
        tuple(
            Property(
                name,
                _common([p.dtype for p in found], where),
                required=len(found) == len(objects) and all(p.required for p in found),
            )
            for name, found in members.items()
        )
    )


def _no_counterpart(where: str, got: str) -> InvalidParameter:
    return InvalidParameter(
        f"A signature cannot describe {where}: {got} is none of boolean, integer, long, float, "
        "double, string, binary, datetime, list or dict."
    )
