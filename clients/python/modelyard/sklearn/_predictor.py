"""A scikit-learn estimator behind `PyFuncModel`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.exceptions import ModelyardException
from modelyard.models.model import Model
from modelyard.sklearn import _flavor, _inputs


class SklearnPredictor:
    """Calls one method of an estimator with its input in the form it was trained on."""

    def __init__(self, estimator: Any, predict_fn: str) -> None:
        if predict_fn not in _flavor.PREDICT_FUNCTIONS or not hasattr(estimator, predict_fn):
            raise ModelyardException(
                f"The MLmodel file names predict_fn {predict_fn!r}, which is no prediction of "
                f"{type(estimator).__name__}.",
                error_code="INVALID_PARAMETER_VALUE",
            )
        self.raw_model = estimator
        self.needs_names = _inputs.needs_names(estimator)
        self._method = getattr(estimator, predict_fn)

    def predict(self, data: Any, params: dict[str, Any]) -> Any:
        return self._method(_inputs.fit_to(self.raw_model, data), **params)


def load_predictor(
    folder: Path, model: Model, *, allow_pickle: bool, threads: int | None
) -> SklearnPredictor:
    """Load the estimator and the method its `python_function` flavour names."""
    estimator = _flavor.load(folder, model, allow_pickle=allow_pickle, threads=threads)
    predict_fn = model.flavors["python_function"].get("predict_fn", "predict")
    return SklearnPredictor(estimator, str(predict_fn))
