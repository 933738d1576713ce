"""Modelyard: track runs, register models as versions, move them through stages.

Scripts written for MLflow's tracking and registry run with `import modelyard as mlflow`, or
unchanged by `python -m modelyard run script.py`. Importing this module does not import grpc,
protobuf or numpy: the first call that needs them does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modelyard._drop_in import answer_imports, install_as_mlflow, missing_attribute
from modelyard._fluent.addresses import (
    get_registry_uri,
    get_tracking_uri,
    is_tracking_uri_set,
    set_registry_uri,
    set_tracking_uri,
)
from modelyard._fluent.experiments import (
    create_experiment,
    delete_experiment,
    delete_experiment_tag,
    get_experiment,
    get_experiment_by_name,
    restore_experiment,
    search_experiments,
    set_experiment,
    set_experiment_tag,
    set_experiment_tags,
)
from modelyard._fluent.logged import (
    delete_tag,
    flush_async_logging,
    get_artifact_uri,
    log_artifact,
    log_artifacts,
    log_dict,
    log_figure,
    log_image,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    log_text,
    set_tag,
    set_tags,
)
from modelyard._fluent.registry import (
    delete_logged_model_tag,
    finalize_logged_model,
    get_logged_model,
    last_logged_model,
    log_model_params,
    register_model,
    search_logged_models,
    search_model_versions,
    search_registered_models,
    set_logged_model_tags,
    set_model_version_tag,
)
from modelyard._fluent.runs import (
    ActiveRun,
    active_run,
    delete_run,
    end_run,
    get_parent_run,
    get_run,
    last_active_run,
    restore_run,
    start_run,
)
from modelyard._fluent.search import search_runs
from modelyard.exceptions import MlflowException, ModelyardException

if TYPE_CHECKING:  # at run time `__getattr__` imports them on first use
    from modelyard import (
        artifacts,
        client,
        config,
        entities,
        exceptions,
        models,
        pyfunc,
        sklearn,
        tracking,
        types,
    )
    from modelyard._client.images import Image
    from modelyard.client import MlflowClient

__all__ = [
    "ActiveRun",
    "Image",
    "MlflowClient",
    "MlflowException",
    "ModelyardException",
    "active_run",
    "artifacts",
    "client",
    "config",
    "create_experiment",
    "delete_experiment",
    "delete_experiment_tag",
    "delete_logged_model_tag",
    "delete_run",
    "delete_tag",
    "end_run",
    "entities",
    "exceptions",
    "finalize_logged_model",
    "flush_async_logging",
    "get_artifact_uri",
    "get_experiment",
    "get_experiment_by_name",
    "get_logged_model",
    "get_parent_run",
    "get_registry_uri",
    "get_run",
    "get_tracking_uri",
    "install_as_mlflow",
    "is_tracking_uri_set",
    "last_active_run",
    "last_logged_model",
    "log_artifact",
    "log_artifacts",
    "log_dict",
    "log_figure",
    "log_image",
    "log_metric",
    "log_metrics",
    "log_model_params",
    "log_param",
    "log_params",
    "log_text",
    "models",
    "pyfunc",
    "register_model",
    "restore_experiment",
    "restore_run",
    "search_experiments",
    "search_logged_models",
    "search_model_versions",
    "search_registered_models",
    "search_runs",
    "set_experiment",
    "set_experiment_tag",
    "set_experiment_tags",
    "set_logged_model_tags",
    "set_model_version_tag",
    "set_registry_uri",
    "set_tag",
    "set_tags",
    "set_tracking_uri",
    "sklearn",
    "start_run",
    "tracking",
    "types",
]

_LAZY_MODULES = frozenset(
    {
        "artifacts",
        "client",
        "config",
        "entities",
        "models",
        "pyfunc",
        "sklearn",
        "tracking",
        "types",
    }
)

_missing = missing_attribute(__name__)
answer_imports()


def __getattr__(name: str) -> Any:
    if name == "MlflowClient":
        return import_module("modelyard.client").MlflowClient
    if name == "Image":
        return import_module("modelyard._client.images").Image
    if name == "__version__":
        return import_module("importlib.metadata").version("modelyard")
    if name in _LAZY_MODULES:
        return import_module(f"modelyard.{name}")
    return _missing(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
