"""Save, log and load scikit-learn models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from modelyard._drop_in import missing_attribute
from modelyard._extras import require_extra
from modelyard._fluent.models import LogOptions, log_folder
from modelyard.models._folder import chosen_name, local_model
from modelyard.models.model import Model, ModelInfo
from modelyard.models.signature import ModelSignature
from modelyard.sklearn import _flavor

__all__ = ["load_model", "log_model", "save_model"]

__getattr__ = missing_attribute(__name__)


def __dir__() -> list[str]:
    return __all__


def _require() -> None:
    require_extra("modelyard.sklearn", "sklearn", "numpy", "pandas", "sklearn", "skops", "yaml")


def save_model(  # noqa: PLR0913 - the documented signature
    sk_model: Any,
    path: str | Path,
    *,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    serialization_format: str = "skops",
    skops_trusted_types: Sequence[str] | None = None,
    code_paths: Sequence[str | Path] | None = None,
    pyfunc_predict_fn: str = "predict",
    metadata: dict[str, Any] | None = None,
    pip_requirements: str | Sequence[str] | None = None,
    extra_pip_requirements: str | Sequence[str] | None = None,
    conda_env: dict[str, Any] | str | None = None,
) -> None:
    """Write `sk_model` as a model folder.

    Args:
        sk_model: A scikit-learn estimator.
        path: Folder to write to; must be new or empty.
        signature: Schema of inputs and outputs. None infers one from `input_example`, if given;
            False writes none.
        input_example: A few rows of input: a DataFrame, a numpy array, a dict or a list. If it
            cannot be stored, described or predicted, that is a warning, and the model is saved
            without it.
        serialization_format: `skops`, or `cloudpickle` or `pickle`, which load only with
            `allow_pickle`.
        skops_trusted_types: Names of types, beyond those the loader trusts, that the file may
            hold. The model then loads only with `allow_pickle`.
        code_paths: Python files and folders to store with the model; importable once it is loaded
            with `allow_pickle`.
        pyfunc_predict_fn: Method that `modelyard.pyfunc` and serving call.
        metadata: Mapping stored in the MLmodel file.
        pip_requirements: Replacement for the inferred requirements: a list or a requirements file.
        extra_pip_requirements: Requirements added to the inferred ones.
        conda_env: Replacement for the generated conda.yaml.

    Raises:
        AlreadyExists: The folder has content.
        InvalidParameter: skops cannot store the model safely, or an argument is invalid.
    """
    _require()
    options = _flavor.SaveOptions(
        signature=signature,
        input_example=input_example,
        serialization_format=serialization_format,
        skops_trusted_types=skops_trusted_types,
        code_paths=code_paths,
        pyfunc_predict_fn=pyfunc_predict_fn,
        metadata=metadata,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        conda_env=conda_env,
    )
    _flavor.save(sk_model, path, options)


def log_model(  # noqa: PLR0913 - the documented signature
    sk_model: Any,
    artifact_path: str | None = None,
    *,
    name: str | None = None,
    signature: ModelSignature | Literal[False] | None = None,
    input_example: Any = None,
    serialization_format: str = "skops",
    skops_trusted_types: Sequence[str] | None = None,
    code_paths: Sequence[str | Path] | None = None,
    pyfunc_predict_fn: str = "predict",
    metadata: dict[str, Any] | None = None,
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
    """Log `sk_model` to the active run, or to a new one if none is active.

    Args:
        sk_model: A scikit-learn estimator.
        artifact_path: Older name of the argument `name`.
        name: Name of the model in its run; `model` by default.
        signature: As for `save_model`, with the arguments down to `conda_env`.
        input_example: As for `save_model`.
        serialization_format: As for `save_model`.
        skops_trusted_types: As for `save_model`.
        code_paths: As for `save_model`.
        pyfunc_predict_fn: As for `save_model`.
        metadata: As for `save_model`.
        pip_requirements: As for `save_model`.
        extra_pip_requirements: As for `save_model`.
        conda_env: As for `save_model`.
        registered_model_name: Registered model to create a version of, created if it does not
            exist.
        await_registration_for: Ignored: a new version is READY when the call returns.
        params: Params of the logged model.
        tags: Tags of the logged model.
        model_type: Free text for searches, such as "forecast".
        step: Step of the training at which the model was made.

    Returns:
        URI of the logged model, `models:/m-<id>`, and the content of its MLmodel file.

    Raises:
        ModelyardException: The model was refused as by `save_model`, or by logging or registration.
    """
    _require()
    options = LogOptions(
        name=chosen_name(artifact_path, name),
        params=params,
        tags=tags,
        model_type=model_type,
        step=step,
        registered_model_name=registered_model_name,
        await_registration_for_seconds=await_registration_for,
    )
    saved = _flavor.SaveOptions(
        signature=signature,
        input_example=input_example,
        serialization_format=serialization_format,
        skops_trusted_types=skops_trusted_types,
        code_paths=code_paths,
        pyfunc_predict_fn=pyfunc_predict_fn,
        metadata=metadata,
        pip_requirements=pip_requirements,
        extra_pip_requirements=extra_pip_requirements,
        conda_env=conda_env,
    )
    return log_folder(lambda folder: _flavor.save(sk_model, folder, saved), options)


def load_model(
    model_uri: str | Path, dst_path: str | None = None, *, allow_pickle: bool = False
) -> Any:
    """Load the scikit-learn estimator of a model.

    Args:
        model_uri: `models:/name/3`, `models:/name/Production`, `models:/name@alias`,
            `models:/m-<id>`, `runs:/<run_id>/<name>`, or the path or `file:` URI of a folder.
        dst_path: Folder to download to; the local cache by default.
        allow_pickle: Whether to load models that can run any code: a pickle, or a model with
            untrusted types.

    Returns:
        The fitted estimator.

    Raises:
        InvalidParameter: The model is damaged, forged, or holds untrusted types.
        NotFound: The model does not exist.
        PermissionDenied: The model is a pickle, and `allow_pickle` is not set.
    """
    _require()
    folder = local_model(model_uri, dst_path).path
    return _flavor.load(folder, Model.load(folder), allow_pickle=allow_pickle)
