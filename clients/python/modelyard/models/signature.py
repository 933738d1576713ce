"""Signatures: schemas of a model's inputs, outputs and parameters."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelyard._extras import require_extra
from modelyard.exceptions import InvalidParameter, ModelyardException
from modelyard.models._enforce import enforce_schema
from modelyard.models._infer import infer_param_schema, infer_schema
from modelyard.types.schema import ParamSchema, Schema


@dataclass(frozen=True, slots=True)
class ModelSignature:
    """Schemas of a model's inputs, outputs and inference parameters; None if unknown."""

    inputs: Schema | None = None
    outputs: Schema | None = None
    params: ParamSchema | None = None

    def __post_init__(self) -> None:
        if self.inputs is None and self.outputs is None and self.params is None:
            raise InvalidParameter("A signature needs at least one of inputs, outputs and params.")

    def __repr__(self) -> str:
        parts = (f"{name}={part!r}" for name, part in self._parts())
        return f"ModelSignature({', '.join(parts)})"

    def __str__(self) -> str:
        parts = (f"{name}:\n{textwrap.indent(str(part), '  ')}" for name, part in self._parts())
        return "\n".join(parts)

    def _parts(self) -> Iterator[tuple[str, Schema | ParamSchema]]:
        parts = {"inputs": self.inputs, "outputs": self.outputs, "params": self.params}
        return ((name, part) for name, part in parts.items() if part is not None)

    def to_dict(self) -> dict[str, str | None]:
        """Return the form used in MLmodel files: each part as JSON text."""
        return {
            "inputs": None if self.inputs is None else self.inputs.to_json(),
            "outputs": None if self.outputs is None else self.outputs.to_json(),
            "params": self.params.to_json() if self.params else None,
        }

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> ModelSignature:
        """Read the form used in MLmodel files.

        Raises:
            InvalidParameter: A part is malformed.
        """
        inputs, outputs, params = (parts.get(key) for key in ("inputs", "outputs", "params"))
        return cls(
            Schema.from_json(inputs) if inputs else None,
            Schema.from_json(outputs) if outputs else None,
            ParamSchema.from_json(params) if params else None,
        )


def infer_signature(
    model_input: Any = None, model_output: Any = None, params: Mapping[str, Any] | None = None
) -> ModelSignature:
    """Infer a signature from examples of a model's input, output and parameters.

    Args:
        model_input: A DataFrame or Series (one column each), a numpy array or sparse matrix of
            shape (n, ...) (a tensor whose first axis has any length), a dict of arrays (named
            tensors), a dict of scalars or lists, or a list of dicts or scalars (columns).
        model_output: Example of the model's output, in the same forms.
        params: Default values of the inference parameters.

    Returns:
        A signature that `model_input` itself fits.

    Raises:
        InvalidParameter: A schema cannot describe the data; names the column and its type.
    """
    require_extra("modelyard.models", "sklearn", "numpy", "pandas", "scipy")
    try:
        inputs = None if model_input is None else infer_schema(model_input)
        if inputs is not None:
            _check_accepted(model_input, inputs)
        signature = ModelSignature(
            inputs,
            None if model_output is None else infer_schema(model_output),
            infer_param_schema(params) if params else None,
        )
        signature.to_dict()
    except ModelyardException:
        raise
    except Exception as other:  # objects with behaviour of their own, and cyclic ones
        kinds = " and ".join(type(part).__name__ for part in (model_input, model_output, params))
        raise InvalidParameter(
            f"A signature cannot be inferred ({type(other).__name__}) from input, output and "
            f"params of types {kinds}."
        ) from other
    return signature


def _check_accepted(model_input: Any, inputs: Schema) -> None:
    try:
        enforce_schema(model_input, inputs)
    except InvalidParameter as refused:
        raise InvalidParameter(
            f"A signature cannot describe the input: it would refuse it. {refused.message}"
        ) from refused


def check_signature(signature: object) -> None:
    """Refuse what is given as a signature and is none; None and False stand for no signature."""
    is_none = signature is None or signature is False
    if not is_none and not isinstance(signature, ModelSignature):
        raise InvalidParameter(
            f"signature must be a ModelSignature, got {type(signature).__name__}; "
            "modelyard.models.infer_signature makes one."
        )
