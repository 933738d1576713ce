"""A scikit-learn estimator behind `PyFuncModel`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.models._enforce import as_frame, invalid
from modelyard.models._quote import quote
from modelyard.models.model import Model
from modelyard.sklearn import _flavor, _inputs

# Error texts of scikit-learn about its input, and the messages for callers.
_ABOUT_THE_INPUT = {
    "contains NaN": "The model does not accept missing values, but the input has some.",
    "contains infinity": "The model does not accept infinite or too large numbers.",
    "Found unknown categories": "The input holds a category the model was not trained on.",
}
_ABOUT_NUMBERS = (
    "could not convert string to float",
    "not compatible with arrays of bytes/strings",
    "must be a string or a real number",
    "setting an array element with a sequence",
)


class SklearnPredictor:
    """Calls one method of an estimator with its input in the form it was trained on."""

    def __init__(self, estimator: Any, predict_fn: str) -> None:
        if predict_fn not in _flavor.PREDICT_FUNCTIONS or not hasattr(estimator, predict_fn):
            raise invalid(
                f"The MLmodel file names predict_fn {quote(predict_fn)}, which is not a prediction "
                f"method of {type(estimator).__name__}."
            )
        self.raw_model = estimator
        self.needs_names = _inputs.needs_names(estimator)
        self._method = getattr(estimator, predict_fn)

    def predict(self, data: Any, params: dict[str, Any]) -> Any:
        fitting = _inputs.fit_to(self.raw_model, data)
        try:
            return self._method(fitting, **params)
        except (ValueError, TypeError) as refused:
            # Errors of the caller's input; scikit-learn's own messages quote the data.
            if any(theirs in str(refused) for theirs in _ABOUT_NUMBERS):
                raise invalid(f"The model expects numbers{_other_than_numbers(data)}.") from refused
            for theirs, ours in _ABOUT_THE_INPUT.items():
                if theirs in str(refused):
                    raise invalid(ours) from refused
            raise


def _other_than_numbers(data: Any) -> str:
    """Name the first column with values that are not numbers, and their types."""
    frame = as_frame(data)
    for name in frame.columns:
        kinds = {type(value) for value in frame[name].tolist()}
        other = sorted(kind.__name__ for kind in kinds if not issubclass(kind, int | float))
        if other:
            return f", column {name!r} holds {' and '.join(other)}"
    return ""


def load_predictor(
    folder: Path, model: Model, *, allow_pickle: bool, threads: int | None
) -> SklearnPredictor:
    """Load the estimator and the method that its `python_function` flavour names."""
    estimator = _flavor.load(folder, model, allow_pickle=allow_pickle, threads=threads)
    predict_fn = model.flavors["python_function"].get("predict_fn", "predict")
    return SklearnPredictor(estimator, str(predict_fn))
