"""A loaded model of any flavour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from modelyard.exceptions import InvalidParameter
from modelyard.models import _example
from modelyard.models._enforce import enforce_params, enforce_schema
from modelyard.models.model import Model
from modelyard.models.signature import ModelSignature


class Predictor(Protocol):
    """Implementation of a `PyFuncModel` by a flavour.

    Attributes:
        raw_model: The object that was logged.
        needs_names: Whether the model was trained on named columns.
    """

    raw_model: Any
    needs_names: bool

    def predict(self, data: Any, params: dict[str, Any]) -> Any: ...


class PyFuncModel:
    """A loaded model with a uniform `predict`.

    Attributes:
        metadata: Content of the MLmodel file.
        model_config: Settings given when the model was loaded.
    """

    def __init__(
        self,
        folder: Path,
        metadata: Model,
        predictor: Predictor,
        model_config: Mapping[str, Any] | None = None,
    ) -> None:
        self.metadata = metadata
        self.model_config = dict(model_config or {})
        self._predictor = predictor
        self._folder = folder

    @property
    def signature(self) -> ModelSignature | None:
        return self.metadata.signature

    @property
    def needs_names(self) -> bool:
        """Whether the model was trained on named columns."""
        return self._predictor.needs_names

    @property
    def model_id(self) -> str | None:
        return self.metadata.model_id

    @property
    def input_example(self) -> Any:
        """The logged input example, None without one; read from the folder on each access."""
        return _example.read_example(self._folder, self.metadata.saved_input_example_info)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the model's prediction for `data`.

        Args:
            data: A DataFrame, numpy array, sparse matrix, dict of columns or list of rows. It must
                fit the signature, or have the columns of the training if there is no signature.
            params: Inference parameters of the signature.

        Returns:
            The prediction in the model's own type, such as an array with a value for each row.

        Raises:
            InvalidParameter: `data` or `params` do not fit. Exceptions of the model itself are
                passed on.
        """
        known = self.signature
        if known is None:
            return self._predictor.predict(data, dict(params or {}))
        given = enforce_params(params, known.params)
        fitting = data if known.inputs is None else enforce_schema(data, known.inputs)
        return self._predictor.predict(fitting, given)

    def get_raw_model(self) -> Any:
        """Return the object that was logged."""
        return self._predictor.raw_model

    def unwrap_python_model(self) -> Any:
        """Return the `PythonModel` that was logged.

        Raises:
            InvalidParameter: The model was not logged as a `PythonModel`.
        """
        from modelyard.pyfunc._python_model import PythonModelPredictor

        if not isinstance(self._predictor, PythonModelPredictor):
            raise InvalidParameter(
                "The model was not logged as a PythonModel; get_raw_model() returns its object."
            )
        return self._predictor.raw_model

    def __repr__(self) -> str:
        name, flavors = self.metadata.artifact_path, sorted(self.metadata.flavors)
        return f"PyFuncModel(name={name!r}, model_id={self.model_id!r}, flavors={flavors})"
