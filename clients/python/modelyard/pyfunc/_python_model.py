"""Loads and calls models written in Python: a class, a function or a file."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelyard.exceptions import PermissionDenied
from modelyard.models import _code, _pickles
from modelyard.models._folder import file_in
from modelyard.models._python_model import FunctionModel, PythonModelContext, model_of
from modelyard.models.model import Model

LOADER_MODULE = "mlflow.pyfunc.model"
CODE_LOADER_MODULE = "mlflow.pyfunc.loaders.code_model"


class PythonModelPredictor:
    """Calls a `PythonModel` with the arguments that its `predict` takes."""

    needs_names = False

    def __init__(self, model: Any, context: PythonModelContext) -> None:
        self.raw_model = model
        self._context = context
        asked = model.func if isinstance(model, FunctionModel) else model.predict
        names = inspect.signature(asked).parameters
        self._takes_params = "params" in names
        # Names are the author's choice: two parameters beside `params` are context and input.
        self._takes_context = len([name for name in names if name != "params"]) > 1
        self._hint = _input_hint(asked, position=int(self._takes_context))

    def predict(self, data: Any, params: dict[str, Any]) -> Any:
        given = (self._context,) if self._takes_context else ()
        named = {"params": params or None} if self._takes_params else {}
        return self.raw_model.predict(*given, _as_hinted(data, self._hint), **named)


def _input_hint(predict: Callable[..., Any], position: int) -> Any:
    """Return the annotation of the input; None without one."""
    names = [name for name in inspect.signature(predict).parameters if name != "params"]
    if len(names) <= position:
        return None
    try:
        return typing.get_type_hints(predict).get(names[position])
    except NameError:  # a name known to type checkers only
        return None


def _as_hinted(data: Any, hint: Any) -> Any:
    """Convert a table to the list type that `predict` is annotated with; pass on other input."""
    import pandas as pd

    if typing.get_origin(hint) is not list or not isinstance(data, pd.DataFrame):
        return data
    element = (*typing.get_args(hint), Any)[0]
    if element is dict or typing.get_origin(element) is dict:
        return data.to_dict(orient="records")
    if hasattr(element, "model_validate"):  # pydantic's
        return [element.model_validate(row) for row in data.to_dict(orient="records")]
    return data.iloc[:, 0].tolist()


def load_predictor(
    folder: Path, model: Model, *, allow_pickle: bool, model_config: Mapping[str, Any] | None
) -> PythonModelPredictor:
    """Load the model of a folder and call its `load_context`.

    Raises:
        InvalidParameter: The model is damaged, needs a missing package, or its code fails.
        PermissionDenied: The model runs code, and that is not allowed.
    """
    if not allow_pickle:
        raise PermissionDenied(
            "The model is Python code, and loading it runs that code. If you trust its author, "
            "load it with allow_pickle=True (serve it with --allow-pickle)."
        )
    flavor = model.flavors["python_function"]
    _pickles.add_code(folder, flavor)
    context = context_of(folder, flavor, model_config)
    if flavor.get("model_code_path"):
        # The value is the path on the machine where the model was logged.
        name = re.split(r"[/\\]", str(flavor["model_code_path"]))[-1]
        loaded = _code.run(file_in(folder, name), context.model_config)
        loaded = loaded if hasattr(loaded, "predict") else model_of(loaded)
    else:
        file = file_in(folder, flavor.get("python_model"))
        loaded = _pickles.load(file, flavor.get("python_model_compression"))
    loaded.load_context(context)
    return PythonModelPredictor(loaded, context)


def context_of(
    folder: Path, flavor: Mapping[str, Any], model_config: Mapping[str, Any] | None
) -> PythonModelContext:
    artifacts = {
        name: str(folder / described["path"])
        for name, described in (flavor.get("artifacts") or {}).items()
    }
    return PythonModelContext(artifacts, {**(flavor.get("config") or {}), **(model_config or {})})
