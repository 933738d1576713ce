"""Stand-ins for the few names of MLflow that models written with it refer to.

A model in Python that was logged with MLflow subclasses MLflow's `PythonModel`, so its pickle or
code names modules of MLflow. They are answered from here, so that such a model loads where MLflow
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

from modelyard.exceptions import InvalidParameter

_PACKAGE = "mlflow"
# Where each name that pickles refer to is found; all of `mlflow.types.schema` is `Anything`.
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
# What code of a model imports, by the name it has in MLflow.
_MODULES = {
    "mlflow": "modelyard",
    "mlflow.artifacts": "modelyard.artifacts",
    "mlflow.entities": "modelyard.entities",
    "mlflow.exceptions": "modelyard.exceptions",
    "mlflow.models": "modelyard.models",
    "mlflow.models.signature": "modelyard.models.signature",
    "mlflow.pyfunc": "modelyard.pyfunc",
    "mlflow.pyfunc.model": "modelyard.pyfunc",
    "mlflow.sklearn": "modelyard.sklearn",
    "mlflow.tracking": "modelyard.tracking",
    "mlflow.types": "modelyard.types",
    "mlflow.types.schema": "modelyard.types.schema",
}
_lock = threading.RLock()


class Anything:
    """Takes whatever state a pickle gives it; for parts that we read from the MLmodel file."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Accept what the constructor of the other class was called with."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None


def as_given(args: Any, kwargs: Any, *_: Any) -> tuple[Any, Any]:
    """Leave a model's input as it is: it was checked against the signature before."""
    return args, kwargs


def named(module: str, name: str) -> Any:
    """Return what a pickle means by a name of MLflow.

    Raises:
        InvalidParameter: We have no counterpart, and MLflow is not installed.
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
    """The refusal of a model that uses a part of MLflow we have no counterpart for."""
    return InvalidParameter(
        f"The model was not loaded: it uses {what} of MLflow, which Modelyard does not have. "
        "Install mlflow beside modelyard to load it."
    )


@contextmanager
def importable() -> Iterator[None]:
    """Let `import mlflow` find our modules for as long as a model is loaded.

    Nothing is changed where MLflow is installed. One model is loaded at a time.
    """
    with _lock:
        if find_spec(_PACKAGE) is not None:
            yield
            return
        for theirs, ours in _MODULES.items():
            sys.modules[theirs] = importlib.import_module(ours)
        try:
            yield
        finally:
            for theirs in _MODULES:
                del sys.modules[theirs]


@contextmanager
def answered_by(module: str, answers: dict[str, Any]) -> Iterator[None]:
    """Let names of a module of MLflow be ours, whether or not MLflow is installed."""
    with importable():
        theirs = importlib.import_module(module).__dict__
        replaced = {name: theirs[name] for name in answers}
        theirs.update(answers)
        try:
            yield
        finally:
            theirs.update(replaced)
