"""Types of a model's inputs and outputs."""

from modelyard._drop_in import missing_attribute
from modelyard.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

__all__ = ["ColSpec", "DataType", "ParamSchema", "ParamSpec", "Schema", "TensorSpec"]

__getattr__ = missing_attribute(__name__)


def __dir__() -> list[str]:
    return __all__
