"""Sets parameters to values that reach outside a model's arrays: files, functions, processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import skops.io
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score
from tests.support.models.fitted import Fitted

from modelyard.exceptions import ModelyardException
from modelyard.sklearn import _skops_file

_BY_NAME: dict[str, list[Any]] = {
    "input": ["file", "filename"],
    "memory": ["/tmp/cache"],  # noqa: S108 - never opened, that is the test
    "n_jobs": [10**6],
    "dtype": ["O", "V8", "M8[s]"],
    "metric": ["pyfunc", "os.system"],
    "metric_params": [{"func": accuracy_score}],
    "kernel": ["os.system"],
    "kernel_params": [{"func": accuracy_score}],
    "encoding": ["zlib"],
    "token_pattern": ["(a+)+$"],
    "importance_getter": ["__class__.__init__.__globals__"],
}
_ANYTHING = "no_validation"
"""What scikit-learn notes for a parameter that it does not check."""


def hostile_values(model: BaseEstimator) -> Iterator[tuple[str, Any]]:
    """Yield each parameter of `model` that may reach outside its arrays, with such a value.

    The function is one that skops files may hold, so that it is refused for its place only.
    """
    constraints = getattr(type(model), "_parameter_constraints", {})
    for name in model.get_params(deep=False):
        for value in _BY_NAME.get(name, []):
            yield name, value
        allowed = constraints.get(name, _ANYTHING)
        if allowed == _ANYTHING or callable in allowed:
            yield name, accuracy_score


def accepted(models: list[Fitted], folder: Path) -> tuple[int, list[str]]:
    """Return how many hostile values were tried, and those that were loaded."""
    path = folder / "model.skops"
    tried, loaded = 0, []
    for fitted in models:
        for name, value in hostile_values(fitted.model):
            usual = getattr(fitted.model, name)
            setattr(fitted.model, name, value)
            try:
                skops.io.dump(fitted.model, path)
                _skops_file.load(path)
            except ModelyardException:
                tried += 1
            else:
                tried += 1
                loaded.append(f"{fitted.name}({name}={value!r})")
            finally:
                setattr(fitted.model, name, usual)
    return tried, loaded
