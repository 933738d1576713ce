"""Load models of any flavour with one interface, and log models written in Python."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from modelyard._drop_in import missing_attribute
from modelyard._extras import require_extra
from modelyard._fluent.models import LogOptions, log_folder
from modelyard.exceptions import InvalidParameter
from modelyard.models._folder import chosen_name, local_model
from modelyard.models._python_model import PythonModel, PythonModelContext
from modelyard.models._quote import quote
from modelyard.models.model import Model, ModelInfo
from modelyard.models.signature import ModelSignature
from modelyard.pyfunc import _python_model, _save
from modelyard.pyfunc._model import Predictor, PyFuncModel

__all__ = [
    "PyFuncModel",
    "PythonModel",
    "PythonModelContext",
    "load_folder",
    "load_model",
    "log_model",
    "save_model",
]

__getattr__ = missing_attribute(__name__)


def __dir__() -> list[str]:
    return __all__


_SKLEARN_LOADERS = ("mlflow.sklearn", "modelyard.sklearn")
_PYTHON_LOADERS = (_python_model.LOADER_MODULE, _python_model.CODE_LOADER_MODULE)


def _require(*packages: str) -> None:
    require_extra("modelyard.pyfunc", "sklearn", "numpy", "pandas", "yaml", *packages)


def load_model(
    model_uri: str | Path,
    suppress_warnings: bool = False,  # noqa: FBT001, FBT002 - positional in MLflow's signature
    dst_path: str | None = None,
    model_config: Mapping[str, Any] | None = None,
    *,
    allow_pickle: bool = False,
) -> PyFuncModel:
    """Load a model to predict with.

    Args:
        model_uri: `models:/name/3`, `models:/name/Production`, `models:/name@alias`,
            `models:/m-<id>`, `runs:/<run_id>/<name>`, or the path or `file:` URI of a folder.
        suppress_warnings: Whether to suppress the warning about a model made with another version
            of scikit-learn.
        dst_path: Folder to download to; the local cache by default.
        model_config: Settings for a `PythonModel`.
        allow_pickle: Whether to load models that can run any code: a pickle, Python code, or a
            model with untrusted types.

    Returns:
        The loaded model.

    Raises:
        InvalidParameter: The model is damaged or forged, holds untrusted types, or has no
            supported flavour.
        NotFound: The model does not exist.
        PermissionDenied: The model is a pickle or Python code, and `allow_pickle` is not set.
    """
    _require()
    folder = local_model(model_uri, dst_path).path
    loaded = load_folder(folder, allow_pickle=allow_pickle, model_config=model_config)
    if not suppress_warnings:
        _warn_of_other_versions(loaded.metadata)
    return loaded


def load_folder(
    path: str | Path,
    *,
    allow_pickle: bool = False,
    threads: int | None = None,
    model_config: Mapping[str, Any] | None = None,
) -> PyFuncModel:
    """Load a model folder, without network access.

    Args:
        path: Folder that holds the MLmodel file.
        allow_pickle: As for `load_model`.
        threads: Value of `n_jobs` for every part of a scikit-learn model; None keeps its own.
        model_config: As for `load_model`.

    Raises:
        ModelyardException: The model was refused, as by `load_model`.
    """
    _require()
    folder = Path(path)
    model = Model.load(folder)
    predictor = _predictor(
        folder, model, allow_pickle=allow_pickle, threads=threads, model_config=model_config
    )
    return PyFuncModel(folder, model, predictor, model_config)


def _predictor(
    folder: Path,
    model: Model,
    *,
    allow_pickle: bool,
    threads: int | None,
    model_config: Mapping[str, Any] | None,
) -> Predictor:
    """Return the predictor of a known loader; a loader named by a folder is never imported."""
    flavor = model.flavors.get("python_function")
    if flavor is None:
        raise InvalidParameter(
            "The model has no python_function flavor, as it cannot predict; its flavors are "
            f"{quote(sorted(model.flavors))}. Load it with the module of one of them."
        )
    loader = flavor.get("loader_module")
    if loader in _SKLEARN_LOADERS:
        _require("sklearn", "skops")
        from modelyard.sklearn import _predictor as of_sklearn

        return of_sklearn.load_predictor(folder, model, allow_pickle=allow_pickle, threads=threads)
    if loader in _PYTHON_LOADERS:
        return _python_model.load_predictor(
            folder, model, allow_pickle=allow_pickle, model_config=model_config
        )
    raise InvalidParameter(
        f"The model was not loaded: it requires the loader {quote(loader)}. Modelyard loads "
        "scikit-learn models and models written in Python (mlflow.sklearn, mlflow.pyfunc); load "
        "others with MLflow."
    )


def _warn_of_other_versions(model: Model) -> None:
    """Warn of another version of scikit-learn, which guarantees nothing across versions."""
    from importlib import metadata

    saved_with = model.flavors.get("sklearn", {}).get("sklearn_version")
    if saved_with is None or str(saved_with) == metadata.version("scikit-learn"):
        return
    warnings.warn(
        f"The model was saved with scikit-learn {saved_with}; the installed version is "
        f"{metadata.version('scikit-learn')}, and predictions may differ.",
        stacklevel=3,
    )


def save_model(  # noqa: PLR0913 - the documented signature
    path: str | Path,
    *,
    python_model: Any,
    artifacts: Mapping[str, str] | None = None,
    code_paths: Sequence[str | Path] | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    metadata: dict[str, Any] | None = None,
    model_config: dict[str, Any] | None = None,
    pip_requirements: str | Sequence[str] | None = None,
    extra_pip_requirements: str | Sequence[str] | None = None,
    conda_env: dict[str, Any] | str | None = None,
) -> None:
    """Write a Python model as a model folder; loading it needs `allow_pickle`.

    Args:
        path: Folder to write to; must be new or empty.
        python_model: An instance of `PythonModel`, a function of the input, or the path of a
            Python file that calls `modelyard.models.set_model`.
        artifacts: Local files or folders to store with the model, by name.
        code_paths: Python files and folders to store with the model; importable once it is loaded.
        signature: Schema of inputs and outputs. None infers one from `input_example`, if given;
            False writes none.
        input_example: A few rows of input. If it cannot be stored, described or predicted, that is
            a warning, and the model is saved without it.
        metadata: Mapping stored in the MLmodel file.
        model_config: Settings available in the model's context.
        pip_requirements: Replacement for the inferred requirements: a list or a requirements file.
        extra_pip_requirements: Requirements added to the inferred ones.
        conda_env: Replacement for the generated conda.yaml.

    Raises:
        AlreadyExists: The folder has content.
        InvalidParameter: `python_model` is none of these, cannot be pickled, or its file fails.
    """
    _require("cloudpickle")
    options = _save.SaveOptions(
        artifacts=artifacts,
        code_paths=code_paths,
        signature=signature,
        input_example=input_example,
        metadata=metadata,
        model_config=model_config,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        conda_env=conda_env,
    )
    _save.save(python_model, path, options)


def log_model(  # noqa: PLR0913 - the documented signature
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    python_model: Any,
    artifacts: Mapping[str, str] | None = None,
    code_paths: Sequence[str | Path] | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    metadata: dict[str, Any] | None = None,
    model_config: dict[str, Any] | None = None,
    pip_requirements: str | Sequence[str] | None = None,
    extra_pip_requirements: str | Sequence[str] | None = None,
    conda_env: dict[str, Any] | str | None = None,
    registered_model_name: str | None = None,
    await_registration_for: int | None = 300,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    model_type: str | None = None,
    step: int = 0,
) -> ModelInfo:
    """Log a Python model to the active run, or to a new one if none is active.

    Arguments are those of `save_model` and of `modelyard.sklearn.log_model`.

    Returns:
        URI of the logged model, `models:/m-<id>`, and the content of its MLmodel file.

    Raises:
        ModelyardException: The model was refused as by `save_model`, or by logging or registration.
    """
    _require("cloudpickle")
    options = LogOptions(
        name=chosen_name(artifact_path, name),
        params=params,
        tags=tags,
        model_type=model_type,
        step=step,
        registered_model_name=registered_model_name,
        await_registration_for_seconds=await_registration_for,
    )
    saved = _save.SaveOptions(
        artifacts=artifacts,
        code_paths=code_paths,
        signature=signature,
        input_example=input_example,
        metadata=metadata,
        model_config=model_config,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        conda_env=conda_env,
    )
    return log_folder(lambda folder: _save.save(python_model, folder, saved), options)
