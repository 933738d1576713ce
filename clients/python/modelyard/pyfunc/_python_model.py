"""Models written in Python: a class or a function, stored with cloudpickle."""

from __future__ import annotations

import inspect
import pickle
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata as packages
from pathlib import Path
from typing import Any

from modelyard.exceptions import InvalidParameter, PermissionDenied
from modelyard.models import _environment, _example
from modelyard.models._folder import file_in, finish, local_path_of_artifact, new_folder
from modelyard.models.model import Model
from modelyard.models.signature import ModelSignature, infer_signature

LOADER_MODULE = "mlflow.pyfunc.model"
_FILE = "python_model.pkl"


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
    """A model in Python: subclass it and define `predict(context, model_input, params=None)`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Prepare for predictions, once after loading; override it to open artifacts."""

    def predict(self, context: PythonModelContext, model_input: Any, params: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define predict")


class FunctionModel(PythonModel):
    """A function of the input as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def predict(self, context: PythonModelContext, model_input: Any, params: Any = None) -> Any:
        return self.function(model_input)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOptions:
    """How a Python model is saved; see `modelyard.pyfunc.save_model`."""

    artifacts: Mapping[str, str] | None = None
    signature: ModelSignature | None = None
    input_example: Any = None
    metadata: dict[str, Any] | None = None
    model_config: dict[str, Any] | None = None
    pip_requirements: str | Sequence[str] | None = None
    extra_pip_requirements: str | Sequence[str] | None = None
    conda_env: dict[str, Any] | str | None = None


def save(python_model: Any, path: str | Path, options: SaveOptions) -> Model:
    import cloudpickle  # type: ignore[import-untyped]

    wrapped = _as_model(python_model)
    folder = new_folder(path)
    stored = _copy_artifacts(folder, options.artifacts or {})
    (folder / _FILE).write_bytes(cloudpickle.dumps(wrapped))
    flavor = {
        "artifacts": stored,
        "cloudpickle_version": packages.version("cloudpickle"),
        "code": None,
        "config": options.model_config or {},
        "env": dict(_environment.ENVIRONMENT_FILES),
        "loader_module": LOADER_MODULE,
        "python_model": _FILE,
        "python_version": platform.python_version(),
        "streamable": False,
    }
    model = Model(
        metadata=options.metadata,
        flavors={"python_function": flavor},
        signature=options.signature,
    )
    if options.input_example is not None:
        model.saved_input_example_info = _example.write_example(folder, options.input_example)
        if options.signature is None:
            context = _context(folder, flavor, options.model_config)
            wrapped.load_context(context)
            answered = PythonModelPredictor(wrapped, context).predict(options.input_example, {})
            model.signature = infer_signature(options.input_example, answered)
    _environment.write_environment(folder, _requirements(options), options.conda_env)
    return finish(folder, model)


def _as_model(python_model: Any) -> PythonModel:
    if isinstance(python_model, PythonModel):
        return python_model
    if inspect.isfunction(python_model):
        return FunctionModel(python_model)
    raise InvalidParameter(
        "python_model must be an instance of modelyard.pyfunc.PythonModel or a function of the "
        f"input, got {type(python_model).__name__}."
    )


def _copy_artifacts(folder: Path, artifacts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    stored: dict[str, dict[str, str]] = {}
    for name, uri in artifacts.items():
        source = local_path_of_artifact(uri)
        relative = f"artifacts/{source.name}"
        target = folder / relative
        if target.exists():
            raise InvalidParameter(
                f"Two artifacts are called {source.name!r}; give them different file names."
            )
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
        stored[name] = {"path": relative, "uri": str(uri)}
    return stored


def _requirements(options: SaveOptions) -> list[str]:
    if options.pip_requirements is not None:
        return _environment.requirement_lines(options.pip_requirements)
    extra = options.extra_pip_requirements
    more = [] if extra is None else _environment.requirement_lines(extra)
    return _environment.pinned("cloudpickle", "numpy", "pandas") + more


class PythonModelPredictor:
    """Calls a `PythonModel` with its context."""

    needs_names = False

    def __init__(self, model: PythonModel, context: PythonModelContext) -> None:
        self.raw_model = model
        self._context = context
        self._takes_params = "params" in inspect.signature(model.predict).parameters

    def predict(self, data: Any, params: dict[str, Any]) -> Any:
        if self._takes_params:
            return self.raw_model.predict(self._context, data, params=params or None)
        return self.raw_model.predict(self._context, data)


def load_predictor(
    folder: Path, model: Model, *, allow_pickle: bool, model_config: Mapping[str, Any] | None
) -> PythonModelPredictor:
    """Load the model of a folder and let it prepare.

    Raises:
        PermissionDenied: A pickle is not allowed.
    """
    if not allow_pickle:
        raise PermissionDenied(
            "The model is Python code stored as a pickle, and loading it runs that code. If you "
            "trust who logged it, load it with allow_pickle=True (serve it with --allow-pickle)."
        )
    flavor = model.flavors["python_function"]
    with file_in(folder, flavor.get("python_model")).open("rb") as stream:
        loaded = pickle.load(stream)  # noqa: S301 - the caller allowed it
    context = _context(folder, flavor, model_config)
    loaded.load_context(context)
    return PythonModelPredictor(loaded, context)


def _context(
    folder: Path, flavor: Mapping[str, Any], model_config: Mapping[str, Any] | None
) -> PythonModelContext:
    artifacts = {
        name: str(folder / described["path"])
        for name, described in (flavor.get("artifacts") or {}).items()
    }
    return PythonModelContext(artifacts, {**(flavor.get("config") or {}), **(model_config or {})})
