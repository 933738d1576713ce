"""The scikit-learn flavour of a model folder."""

from __future__ import annotations

import pickle
import platform
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modelyard.exceptions import InvalidParameter, PermissionDenied
from modelyard.models import _code, _environment, _pickles
from modelyard.models._describe import describe
from modelyard.models._folder import file_in, finish, new_folder
from modelyard.models._quote import quote
from modelyard.models.model import Model
from modelyard.models.signature import ModelSignature, check_signature
from modelyard.sklearn import _inputs, _object_graph, _skops_file

FORMATS = ("skops", "cloudpickle", "pickle")
# Allowed values of predict_fn in a model folder; the name is looked up on the estimator.
PREDICT_FUNCTIONS = (
    "predict",
    "predict_proba",
    "predict_log_proba",
    "predict_joint_log_proba",
    "decision_function",
    "score",
    "score_samples",
    "transform",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOptions:
    """Options for saving an estimator; see `modelyard.sklearn.save_model`."""

    signature: ModelSignature | Literal[False] | None = None
    input_example: Any = None
    serialization_format: str = "skops"
    skops_trusted_types: Sequence[str] | None = None
    code_paths: Sequence[str | Path] | None = None
    pyfunc_predict_fn: str = "predict"
    metadata: dict[str, Any] | None = None
    pip_requirements: str | Sequence[str] | None = None
    extra_pip_requirements: str | Sequence[str] | None = None
    conda_env: dict[str, Any] | str | None = None


def save(sk_model: Any, path: str | Path, options: SaveOptions) -> Model:
    _check(sk_model, options)
    folder = new_folder(path)
    written = "model.skops" if options.serialization_format == "skops" else "model.pkl"
    if options.serialization_format == "skops":
        _skops_file.save(sk_model, folder / written, options.skops_trusted_types or ())
    else:
        _pickle(sk_model, folder / written, options.serialization_format)
    flavors = _flavors(sk_model, folder / written, options)
    code = _code.copy_code(folder, options.code_paths)
    for flavor in flavors.values():
        flavor["code"] = code
    model = Model(metadata=options.metadata, flavors=flavors)
    predict = getattr(sk_model, options.pyfunc_predict_fn, None)
    describe(
        model,
        folder,
        _inputs.as_table(options.input_example),
        options.signature,
        # Never the params of an example, which are not written for the method.
        predict and (lambda data, _params: predict(_inputs.fit_to(sk_model, data))),
    )
    _environment.write_environment(folder, _requirements(options), options.conda_env)
    return finish(folder, model)


def _check(sk_model: Any, options: SaveOptions) -> None:
    from sklearn.base import BaseEstimator

    check_signature(options.signature)
    if not isinstance(sk_model, BaseEstimator):
        raise _invalid(f"sk_model must be a scikit-learn estimator, got {type(sk_model).__name__}.")
    if options.serialization_format not in FORMATS:
        raise _invalid(
            f"Unknown serialization_format {options.serialization_format!r}; "
            f"choose one of {', '.join(FORMATS)}."
        )
    trusted = options.skops_trusted_types
    if trusted is not None and options.serialization_format != "skops":
        raise _invalid("skops_trusted_types requires serialization_format='skops'.")
    if isinstance(trusted, str):
        raise _invalid(f"skops_trusted_types must be a list of type names, got {trusted!r}.")
    predict = options.pyfunc_predict_fn
    if predict not in PREDICT_FUNCTIONS:
        raise _invalid(
            f"Unknown pyfunc_predict_fn {predict!r}; choose one of {', '.join(PREDICT_FUNCTIONS)}."
        )
    # A transformer may be logged with the default; it then has no generic prediction.
    if predict != "predict" and not hasattr(sk_model, predict):
        raise _invalid(f"{type(sk_model).__name__} has no {predict}, given as pyfunc_predict_fn.")


def _invalid(message: str) -> InvalidParameter:
    return InvalidParameter(message)


def _pickle(sk_model: Any, file: Path, serialization_format: str) -> None:
    if serialization_format == "cloudpickle":
        _pickles.dump(sk_model, file)
        return
    try:
        file.write_bytes(pickle.dumps(sk_model))
    except (pickle.PicklingError, TypeError, AttributeError) as refused:
        raise _invalid(
            f"{type(sk_model).__name__} cannot be pickled ({quote(str(refused))}). "
            "serialization_format='cloudpickle' stores functions of your own too."
        ) from refused


def _flavors(sk_model: Any, file: Path, options: SaveOptions) -> dict[str, dict[str, Any]]:
    import sklearn

    sklearn_flavor = {
        "pickled_model": file.name,
        "serialization_format": options.serialization_format,
        "sklearn_version": sklearn.__version__,
    }
    if options.serialization_format == "skops":
        # For MLflow's loader, which reads the list from the folder; ours has its own.
        sklearn_flavor["skops_trusted_types"] = _skops_file.untrusted_by_skops(file)
    flavors = {"sklearn": sklearn_flavor}
    if hasattr(sk_model, options.pyfunc_predict_fn):
        flavors["python_function"] = {
            "env": dict(_environment.ENVIRONMENT_FILES),
            "loader_module": "mlflow.sklearn",
            "model_path": file.name,
            "predict_fn": options.pyfunc_predict_fn,
            "python_version": platform.python_version(),
        }
    return flavors


def _requirements(options: SaveOptions) -> list[str]:
    if options.pip_requirements is not None:
        return _environment.requirement_lines(options.pip_requirements)
    stored_with = {"skops": ("skops",), "cloudpickle": ("cloudpickle",), "pickle": ()}
    packages = ("numpy", "pandas", "scikit-learn", "scipy")
    inferred = _environment.pinned(*packages, *stored_with[options.serialization_format])
    extra = options.extra_pip_requirements
    return inferred + ([] if extra is None else _environment.requirement_lines(extra))


def load(folder: Path, model: Model, *, allow_pickle: bool, threads: int | None = None) -> Any:
    """Load the estimator of a folder.

    Args:
        folder: Model folder, with the files that `model` names.
        model: Content of its MLmodel file, whose list of trusted types is ignored.
        allow_pickle: Whether a pickle, which can run any code, may be loaded.
        threads: Value of `n_jobs` for every part of the estimator that has it.

    Raises:
        InvalidParameter: The folder has no scikit-learn model, or the file is damaged or forged.
        PermissionDenied: The model is a pickle, and `allow_pickle` is not set.
    """
    flavor = model.flavors.get("sklearn") or model.flavors.get("python_function", {})
    if flavor is model.flavors.get("python_function", {}) and "model_path" not in flavor:
        raise _invalid("The model has no sklearn flavor.")
    file = file_in(folder, flavor.get("pickled_model") or flavor.get("model_path"))
    # Folders of MLflow versions without serialization formats hold pickles.
    stored_as = flavor.get("serialization_format", "pickle")
    if stored_as not in FORMATS:
        raise _invalid(
            f"The model's serialization_format is {quote(stored_as)}, "
            f"not one of {', '.join(FORMATS)}."
        )
    if allow_pickle:
        _pickles.add_code(folder, flavor)
    if stored_as == "skops":
        estimator = _load_skops(file, any_type=allow_pickle)
    else:
        estimator = _load_pickle(file, str(stored_as), allow_pickle=allow_pickle)
    if threads is not None:
        _set_threads(estimator, threads)
    return estimator


def _load_skops(file: Path, *, any_type: bool) -> Any:
    if not zipfile.is_zipfile(file):
        raise _invalid(
            f"The model was not loaded: {file.name} is not a skops file, although the MLmodel file "
            "names it as one. It is damaged or forged; log the model again."
        )
    return _skops_file.load(file, any_type=any_type)


def _load_pickle(file: Path, stored_as: str, *, allow_pickle: bool) -> Any:
    if not allow_pickle:
        raise PermissionDenied(
            f"The model is stored with {stored_as}, and loading a pickle can run any code. "
            "If you trust its author, load it with allow_pickle=True (serve it with "
            "--allow-pickle); or log it again with serialization_format='skops'."
        )
    return _pickles.load(file)


def _set_threads(estimator: Any, threads: int) -> None:
    for part in _object_graph.objects_in(estimator):
        if "n_jobs" in _object_graph.attributes(part):
            part.n_jobs = threads
