"""Models written in Python: what users subclass."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class PythonModelContext:
    """What a `PythonModel` was logged with.

    Attributes:
        artifacts: Path of each artifact, by its name.
        model_config: Settings given when it was loaded.
    """

    artifacts: dict[str, str] = field(default_factory=dict)
    model_config: dict[str, Any] = field(default_factory=dict)


class PythonModel:
    """A model in Python: subclass it and define `predict(context, model_input, params=None)`.

    `context` may be left out, and `params` when the model has none.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Prepare for predictions, once after loading; override it to open artifacts."""

    def predict(self, context: PythonModelContext, model_input: Any, params: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define predict")


class FunctionModel(PythonModel):
    """What MLflow makes of a function of the input; its pickles are read as this class."""

    func: Callable[[Any], Any]

    def predict(self, model_input: Any) -> Any:  # type: ignore[override] # no context, as there
        return self.func(model_input)


def model_of(function: Callable[[Any], Any]) -> PythonModel:
    """Return a function of the input as a model.

    Its class is made here and not at the top of a module, so that it goes into the pickle whole
    and loads where this package is not installed.
    """
    body = {"predict": staticmethod(function)}
    return typing.cast("PythonModel", type("FunctionModel", (PythonModel,), body)())
