"""Stand-ins for the few names of MLflow that models written with it refer to.

A Python model that was logged with MLflow subclasses MLflow's `PythonModel`, so its pickle or code
refers to modules of MLflow. These names are resolved here, so that such a model loads where MLflow
is not installed.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Self

from modelyard._drop_in import Finder
from modelyard.exceptions import InvalidParameter

_PACKAGE = "mlflow"
# Module and name for each name that pickles refer to; all of `mlflow.types.schema` is `Anything`.
_OURS = {
    "mlflow.exceptions.MlflowException": "modelyard.exceptions:ModelyardException",
    "mlflow.models.signature.ModelSignature": f"{__name__}:Anything",
    "mlflow.models.signature._TypeHints": f"{__name__}:Anything",
    "mlflow.pyfunc.model.PythonModel": "modelyard.pyfunc:PythonModel",
    "mlflow.pyfunc.model.PythonModelContext": "modelyard.pyfunc:PythonModelContext",
    "mlflow.pyfunc.model._FunctionPythonModel": "modelyard.models._python_model:FunctionModel",
    "mlflow.pyfunc.utils.data_validation.FuncInfo": f"{__name__}:Anything",
    "mlflow.pyfunc.utils.data_validation._validate_model_input": f"{__name__}:as_given",
}
_lock = threading.RLock()


class Anything:
    """Accepts any pickled state; for parts that are read from the MLmodel file instead."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept any arguments of the original class's constructor."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def as_given(args: Any, kwargs: Any, *_: Any) -> tuple[Any, Any]:
    """Return a model's input unchanged: it was checked against the signature before."""
    return args, kwargs


def named(module: str, name: str) -> Any:
    """Return the counterpart of a name of MLflow in a pickle.

    Raises:
        InvalidParameter: The name has no counterpart, and MLflow is not installed.
    """
    known = _OURS.get(f"{module}.{name}")
    if module == "mlflow.types.schema":
        known = f"{__name__}:Anything"
    if known is not None:
        return pkgutil.resolve_name(known)
    try:
        return pkgutil.resolve_name(f"{module}:{name}")
    except (ImportError, AttributeError) as absent:
        raise needs(f"{module}.{name}") from absent


def needs(what: str) -> InvalidParameter:
    """Return the refusal of a model that uses a part of MLflow without a counterpart."""
    return InvalidParameter(
        f"The model was not loaded: it uses {what} of MLflow, which Modelyard does not have. "
        "Install mlflow beside modelyard to load it."
    )


@contextmanager
def importable() -> Iterator[None]:
    """Let `import mlflow` find our modules while a model is being loaded, and leave none behind.

    No effect where MLflow is installed. One model is loaded at a time.
    """
    with _lock:
        if find_spec(_PACKAGE) is not None:
            yield
            return
        finder = Finder(_PACKAGE)
        sys.meta_path.insert(0, finder)
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            for name in [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]:
                del sys.modules[name]


@contextmanager
def answered_by(module: str, answers: dict[str, Any]) -> Iterator[None]:
    """Replace names of a module of MLflow by ours, whether or not MLflow is installed."""
    with importable():
        theirs = importlib.import_module(module).__dict__
        replaced = {name: theirs[name] for name in answers}
        theirs.update(answers)
        try:
            yield
        finally:
            theirs.update(replaced)
