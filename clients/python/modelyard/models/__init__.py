"""Model folders, signatures and information about logged models."""

from modelyard._drop_in import missing_attribute
from modelyard.models._code import ModelConfig, set_model
from modelyard.models._logged import get_model_info, set_signature, validate_schema
from modelyard.models.model import Model, ModelInfo
from modelyard.models.signature import ModelSignature, infer_signature
from modelyard.types.schema import ColSpec, Schema, TensorSpec

__all__ = [
    "ColSpec",
    "Model",
    "ModelConfig",
    "ModelInfo",
    "ModelSignature",
    "Schema",
    "TensorSpec",
    "get_model_info",
    "infer_signature",
    "set_model",
    "set_signature",
    "validate_schema",
]

__getattr__ = missing_attribute(__name__)


def __dir__() -> list[str]:
    return __all__
