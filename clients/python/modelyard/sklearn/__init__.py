"""Save, log and load scikit-learn models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from modelyard._extras import require_extra
from modelyard._fluent.models import LogOptions, log_folder
from modelyard.models._folder import chosen_name, local_model
from modelyard.models.model import Model, ModelInfo
from modelyard.models.signature import ModelSignature
from modelyard.sklearn import _flavor

__all__ = ["load_model", "log_model", "save_model"]


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
        path: The folder; must be new or empty.
        signature: Schema of inputs and outputs. None infers one from `input_example`, if that is
            given; False writes none.
        input_example: Some rows of input: a DataFrame, a numpy array, a dict or a list.
        serialization_format: `skops`, or `cloudpickle` or `pickle`, which only load with
            `allow_pickle`.
        skops_trusted_types: Types, besides those the loader trusts, that the file may hold. It
            is then loaded with `allow_pickle` only.
        code_paths: Python files and folders that go with the model and are importable when it is
            loaded with `allow_pickle`.
        pyfunc_predict_fn: The method `modelyard.pyfunc` and serving call.
        metadata: Stored in the MLmodel file.
        pip_requirements: Replaces the inferred requirements: a list or a requirements file.
        extra_pip_requirements: Added to the inferred ones.
        conda_env: Replaces the generated conda.yaml.

    Raises:
        AlreadyExists: The folder has content.
        InvalidParameter: skops cannot store the model safely or an argument is wrong.
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
    """Log `sk_model` to the active run (a new one when none is active).

    Args:
        sk_model: A scikit-learn estimator.
        artifact_path: The older word for `name`.
        name: What the model is called in its run; `model` by default.
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
        registered_model_name: Register it under this name too.
        await_registration_for: Seconds to wait for the new version to be READY.
        params: Parameters of the logged model.
        tags: Tags of the logged model.
        model_type: A word for what it is, for searches.
        step: Step of the training at which it was made.

    Returns:
        Its URI, `models:/m-<id>`, and what its MLmodel file says.

    Raises:
        ModelyardException: As `save_model`, and what logging or registering refuses.
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
    """Load the estimator itself.

    Args:
        model_uri: `models:/name/3`, `models:/name/Production`, `models:/name@alias`,
            `models:/m-<id>`, `runs:/<run_id>/<name>`, or a model folder.
        dst_path: Where to download to; a temporary folder by default.
        allow_pickle: Whether a model that can run any code may be loaded: a pickle, or one with
            types that are not trusted.

    Returns:
        The fitted estimator.

    Raises:
        InvalidParameter: The model is damaged, forged or holds types that are not trusted.
        NotFound: There is no such model.
        PermissionDenied: It is a pickle, without `allow_pickle`.
    """
    _require()
    folder = local_model(model_uri, dst_path).path
    return _flavor.load(folder, Model.load(folder), allow_pickle=allow_pickle)
