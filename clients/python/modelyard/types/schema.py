"""Column and tensor types of a model's signature, in the JSON form of MLmodel files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelyard._documents import read_json
from modelyard.exceptions import InvalidParameter

_MAX_VALUES = 500_000  # of a signature of 100,000 columns


class DataType(StrEnum):
    """Scalar types a column may have; widths are those of the MLmodel format.

    Attributes:
        integer: 32 bits, signed.
        long: 64 bits, signed.
        float: 32 bits.
        double: 64 bits.
    """

    boolean = "boolean"
    integer = "integer"
    long = "long"
    float = "float"
    double = "double"
    string = "string"
    binary = "binary"
    datetime = "datetime"


@dataclass(frozen=True, slots=True)
class AnyType:
    """A value that is not checked."""

    def to_dict(self) -> dict[str, Any]:
        return {"type": "any"}


@dataclass(frozen=True, slots=True)
class Array:
    """A list whose elements share one type."""

    dtype: ColumnType

    def to_dict(self) -> dict[str, Any]:
        return {"type": "array", "items": _type_to_dict(self.dtype)}


@dataclass(frozen=True, slots=True)
class Property:
    """A named member of an `Object`."""

    name: str
    dtype: ColumnType
    required: bool = True


@dataclass(frozen=True, slots=True)
class Object:
    """A mapping with known keys."""

    properties: tuple[Property, ...]

    def to_dict(self) -> dict[str, Any]:
        members = {
            p.name: {**_type_to_dict(p.dtype), "required": p.required} for p in self.properties
        }
        return {"type": "object", "properties": members}


@dataclass(frozen=True, slots=True)
class Map:
    """A mapping from any string to values of one type."""

    value_type: ColumnType

    def to_dict(self) -> dict[str, Any]:
        return {"type": "map", "values": _type_to_dict(self.value_type)}


ColumnType = DataType | Array | Object | Map | AnyType

_SHOWN = 4


def _shown_type(column_type: ColumnType) -> str:
    match column_type:
        case DataType():
            return column_type.value
        case Array(dtype):
            return f"array({_shown_type(dtype)})"
        case Map(value_type):
            return f"map({_shown_type(value_type)})"
        case Object(properties):
            return "object(" + ", ".join(_shown(p.name, p) for p in properties) + ")"
        case AnyType():
            return "any"


def _shown(name: str | None, spec: ColSpec | ParamSpec | Property) -> str:
    dtype = spec.type if isinstance(spec, ColSpec) else spec.dtype
    named = "" if name is None else f"{name!r}: "
    optional = "" if isinstance(spec, ParamSpec) or spec.required else " (optional)"
    return f"{named}{_shown_type(dtype)}{optional}"


def _short(items: Sequence[object]) -> str:
    """Return items in brackets, all but the first few as a number."""
    shown = [str(item) for item in items[:_SHOWN]]
    if len(items) > _SHOWN:
        shown.append(f"… {len(items) - _SHOWN} more")
    return f"[{', '.join(shown)}]"


def _type_to_dict(column_type: ColumnType) -> dict[str, Any]:
    if isinstance(column_type, DataType):
        return {"type": str(column_type)}
    return column_type.to_dict()


def data_type(name: str) -> DataType:
    """Return the scalar type called `name`; refuse a name the format does not have."""
    try:
        return DataType(name)
    except ValueError:
        known = ", ".join(DataType)
        raise InvalidParameter(
            f"Unknown column type {name!r}; the types are {known}, array, object, map and any."
        ) from None


def _type_from_dict(described: Mapping[str, Any]) -> ColumnType:
    kind = described["type"]
    if kind == "array":
        return Array(_type_from_dict(described["items"]))
    if kind == "object":
        members = described["properties"].items()
        return Object(
            tuple(
                Property(k, _type_from_dict(v), bool(v.get("required", True))) for k, v in members
            )
        )
    if kind == "map":
        return Map(_type_from_dict(described["values"]))
    if kind == "any":
        return AnyType()
    return data_type(kind)


@dataclass(frozen=True, slots=True, init=False)
class ColSpec:
    """One column of a table.

    Attributes:
        type: Type of the column's values.
        name: Name of the column; None if columns are known by position.
        required: Whether a request must contain the column.
    """

    type: ColumnType
    name: str | None
    required: bool

    def __init__(
        self,
        type: ColumnType | str,  # noqa: A002 - the format's own word
        name: str | None = None,
        required: bool = True,  # noqa: FBT001, FBT002 - positional in MLflow's signature
    ) -> None:
        kind = data_type(type) if isinstance(type, str) else type
        object.__setattr__(self, "type", kind)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "required", required)

    def __str__(self) -> str:
        return _shown(self.name, self)

    def to_dict(self) -> dict[str, Any]:
        named = {} if self.name is None else {"name": self.name}
        return {**_type_to_dict(self.type), **named, "required": self.required}


@dataclass(frozen=True, slots=True, init=False)
class TensorSpec:
    """One array.

    Attributes:
        dtype: numpy name of the element type, such as `float64`.
        shape: Length of each axis; -1 for an axis of any length.
        name: Name of the array; None for a model with a single unnamed input.
    """

    dtype: str
    shape: tuple[int, ...]
    name: str | None

    def __init__(
        self,
        type: Any,  # noqa: A002 - the format's own word
        shape: Iterable[int],
        name: str | None = None,
    ) -> None:
        object.__setattr__(self, "dtype", _dtype_name(type))
        object.__setattr__(self, "shape", tuple(int(length) for length in shape))
        object.__setattr__(self, "name", name)

    def __str__(self) -> str:
        named = "" if self.name is None else f"{self.name!r}: "
        return f"{named}tensor({self.dtype}, {self.shape})"

    @property
    def required(self) -> bool:
        return True

    def to_dict(self) -> dict[str, Any]:
        named = {} if self.name is None else {"name": self.name}
        spec = {"dtype": self.dtype, "shape": list(self.shape)}
        return {**named, "type": "tensor", "tensor-spec": spec}


def _dtype_name(dtype: Any) -> str:
    if isinstance(dtype, str):
        return dtype
    import numpy as np

    as_numpy = np.dtype(dtype)
    # The length of the longest training string is not a property of the model.
    return str({"U": "str", "S": "bytes"}.get(as_numpy.kind, as_numpy.name))


@dataclass(frozen=True, slots=True, init=False)
class Schema:
    """The inputs or the outputs of a model: columns or tensors, never both."""

    inputs: tuple[ColSpec | TensorSpec, ...]

    def __init__(self, inputs: Sequence[ColSpec | TensorSpec]) -> None:
        specs = tuple(inputs)
        _check_uniform(specs)
        object.__setattr__(self, "inputs", specs)

    def __repr__(self) -> str:
        return f"Schema({_short(self.inputs)})"

    def __str__(self) -> str:
        return "\n".join(str(spec) for spec in self.inputs)

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[ColSpec | TensorSpec]:
        return iter(self.inputs)

    def is_tensor_spec(self) -> bool:
        return bool(self.inputs) and isinstance(self.inputs[0], TensorSpec)

    def has_input_names(self) -> bool:
        return bool(self.inputs) and self.inputs[0].name is not None

    def input_names(self) -> list[str | int]:
        """Return the names in order; positions if columns are unnamed."""
        return [position if s.name is None else s.name for position, s in enumerate(self.inputs)]

    def required_input_names(self) -> list[str | int]:
        named = zip(self.input_names(), self.inputs, strict=True)
        return [name for name, spec in named if spec.required]

    def to_dict(self) -> list[dict[str, Any]]:
        return [spec.to_dict() for spec in self.inputs]

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Read the JSON form.

        Raises:
            InvalidParameter: `text` is not a schema.
        """
        try:
            return cls(
                [_spec_from_dict(described) for described in read_json(text, max_nodes=_MAX_VALUES)]
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as malformed:
            raise InvalidParameter(
                "The model's signature is malformed: expected a JSON list of columns "
                '{"type", "name", "required"} or tensors {"type": "tensor", "tensor-spec"}.'
            ) from malformed


def _check_uniform(specs: tuple[ColSpec | TensorSpec, ...]) -> None:
    if len({isinstance(spec, TensorSpec) for spec in specs}) > 1:
        raise InvalidParameter("A schema holds either columns or tensors, not both.")
    unnamed = [spec.name is None for spec in specs]
    if any(unnamed) and not all(unnamed):
        raise InvalidParameter("In a schema either every column is named or none is.")
    if any(unnamed) and len(specs) > 1 and isinstance(specs[0], TensorSpec):
        raise InvalidParameter(f"A schema of {len(specs)} tensors must name each.")
    names = [spec.name for spec in specs if spec.name is not None]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InvalidParameter(f"Column names must be unique; named twice: {', '.join(twice)}.")


def _spec_from_dict(described: Mapping[str, Any]) -> ColSpec | TensorSpec:
    # Other clients write the column names of frames without a header as numbers.
    name = described.get("name")
    name = None if name is None else str(name)
    if described["type"] == "tensor":
        tensor = described["tensor-spec"]
        return TensorSpec(str(tensor["dtype"]), tensor["shape"], name)
    required = bool(described.get("required", not described.get("optional", False)))
    return ColSpec(_type_from_dict(described), name, required)


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One inference parameter.

    Attributes:
        name: Key in `params`.
        dtype: Type of the value, or of its elements if `shape` is set; a scalar or an `Object`.
        default: Value used if the caller gives none.
        shape: None for a scalar, (-1,) for a list.
    """

    name: str
    dtype: ColumnType
    default: Any
    shape: tuple[int, ...] | None = None

    def __str__(self) -> str:
        as_list = "" if self.shape is None else ", as list"
        return f"{_shown(self.name, self)} (default {self.default!r}{as_list})"

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            **_type_to_dict(self.dtype),
            "default": self.default,
            "shape": None if self.shape is None else list(self.shape),
        }


@dataclass(frozen=True, slots=True)
class ParamSchema:
    """The inference parameters of a model."""

    params: tuple[ParamSpec, ...]

    def __repr__(self) -> str:
        return f"ParamSchema({_short(self.params)})"

    def __str__(self) -> str:
        return "\n".join(str(param) for param in self.params)

    def __iter__(self) -> Iterator[ParamSpec]:
        return iter(self.params)

    def to_json(self) -> str:
        return json.dumps([param.to_dict() for param in self.params])

    @classmethod
    def from_json(cls, text: str) -> ParamSchema:
        """Read the JSON form.

        Raises:
            InvalidParameter: `text` is not a list of parameters.
        """
        try:
            return cls(
                tuple(
                    _param_from_dict(described)
                    for described in read_json(text, max_nodes=_MAX_VALUES)
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as malformed:
            raise InvalidParameter(
                "The parameters of the model's signature are malformed: expected a JSON list of "
                '{"name", "type", "default", "shape"}.'
            ) from malformed


def _param_from_dict(described: Mapping[str, Any]) -> ParamSpec:
    shape = described.get("shape")
    return ParamSpec(
        described["name"],
        _type_from_dict(described),
        described["default"],
        None if shape is None else tuple(shape),
    )
