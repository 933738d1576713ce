"""Base classes of models written in Python."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PythonModelContext:
    """Artifacts and settings of a `PythonModel`.

    Attributes:
        artifacts: Local path of each artifact, by name.
        model_config: Settings given when the model was logged or loaded.
    """

    artifacts: dict[str, str] = field(default_factory=dict)
    model_config: dict[str, Any] = field(default_factory=dict)


class PythonModel:
    """A model in Python: subclass it and define `predict(context, model_input, params=None)`.

    `context` may be left out, and `params` when the model has none.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Prepare for predictions; called once after loading. Override to open artifacts."""

    def predict(self, context: PythonModelContext, model_input: Any, params: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define predict")


class FunctionModel(PythonModel):
    """MLflow's wrapper of a function of the input; its pickles are read as this class."""

    func: Callable[[Any], Any]

    def predict(self, model_input: Any) -> Any:  # type: ignore[override] # no context, as in MLflow
        return self.func(model_input)


def model_of(function: Callable[[Any], Any]) -> PythonModel:
    """Wrap a function of the input as a model.

    The class is local, not at module level, so that it is pickled by value and loads where this
    package is not installed.
    """
    body = {"predict": staticmethod(function)}
    return typing.cast("PythonModel", type("FunctionModel", (PythonModel,), body)())
