"""Model folders, signatures and what a logged model is known by."""

from modelyard.models.model import Model, ModelInfo
from modelyard.models.signature import ModelSignature, infer_signature
from modelyard.types.schema import ColSpec, Schema, TensorSpec

__all__ = [
    "ColSpec",
    "Model",
    "ModelInfo",
    "ModelSignature",
    "Schema",
    "TensorSpec",
    "infer_signature",
]
