"""Types of a model's inputs and outputs."""

from modelyard.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

__all__ = ["ColSpec", "DataType", "ParamSchema", "ParamSpec", "Schema", "TensorSpec"]


def __dir__() -> list[str]:
    return __all__
