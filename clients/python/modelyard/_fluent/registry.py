"""Registered models and logged models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from modelyard._fluent.experiments import active_experiment_id
from modelyard._fluent.state import client, process
from modelyard._notices import notice
from modelyard.entities import LoggedModel, LoggedModelStatus
from modelyard.entities.model_registry import ModelVersion, RegisteredModel


def register_model(
    model_uri: str,
    name: str,
    await_registration_for: int | None = 300,
    *,
    tags: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Register the next version of a model; create the model if it does not exist.

    Args:
        model_uri: `runs:/<run_id>/<path>`, `models:/m-<id>` or `models:/<name>/<version>`.
        name: Name of at most 256 characters, not blank, without "/" and ":".
        await_registration_for: Ignored: the version is READY when the call returns.
        tags: Tags of the version; values are converted to text.

    Raises:
        NotFound: The URI names nothing.
        InvalidParameter: The files there are no model: they have no MLmodel at their root.
    """
    version = client().create_model_version(
        name,
        model_uri,
        tags=tags,
        await_creation_for=await_registration_for,
        create_registered_model=True,
        require_model=True,
    )
    notice("registered version %s of model %r from %s", version.version, name, model_uri)
    return version


def search_registered_models(
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[RegisteredModel]:
    """Return the registered models that match a filter, at most `max_results`; all by default."""
    from modelyard._client.calls import all_pages

    return all_pages(
        lambda token, page: client().search_registered_models(filter_string, page, order_by, token),
        max_results,
        page_size=1000,
    )


def search_model_versions(
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[ModelVersion]:
    """Return the versions that match a filter, at most `max_results`; all by default."""
    from modelyard._client.calls import all_pages

    return all_pages(
        lambda token, page: client().search_model_versions(filter_string, page, order_by, token),
        max_results,
        page_size=10_000,
    )


def set_model_version_tag(
    name: str, version: str | int | None = None, key: str | None = None, value: Any = None
) -> None:
    """Set a tag of a version."""
    client().set_model_version_tag(name, version, key, value)


def get_logged_model(model_id: str) -> LoggedModel:
    """Return a logged model; raise `NotFound` if it does not exist or is deleted."""
    return client().get_logged_model(model_id)


def last_logged_model() -> LoggedModel | None:
    """Return the last model that this process logged; None if it logged none."""
    return client().get_logged_model(process.last_model_id) if process.last_model_id else None


def finalize_logged_model(model_id: str, status: LoggedModelStatus | str) -> LoggedModel:
    """Mark the upload of a logged model as complete ("READY") or failed ("FAILED")."""
    return client().finalize_logged_model(model_id, status)


def set_logged_model_tags(model_id: str, tags: Mapping[str, Any]) -> None:
    """Set tags of a logged model."""
    client().set_logged_model_tags(model_id, tags)


def delete_logged_model_tag(model_id: str, key: str) -> None:
    """Delete a tag of a logged model."""
    client().delete_logged_model_tag(model_id, key)


def log_model_params(params: Mapping[str, Any], model_id: str) -> None:
    """Add params to a logged model."""
    client().log_model_params(model_id, params)


@overload
def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Sequence[Mapping[str, str]] | None = None,
    max_results: int | None = None,
    order_by: Sequence[Mapping[str, Any]] | None = None,
    *,
    output_format: Literal["list"],
) -> list[LoggedModel]: ...


@overload
def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Sequence[Mapping[str, str]] | None = None,
    max_results: int | None = None,
    order_by: Sequence[Mapping[str, Any]] | None = None,
    output_format: str = "pandas",
) -> Any: ...


def search_logged_models(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str | None = None,
    datasets: Sequence[Mapping[str, str]] | None = None,
    max_results: int | None = None,
    order_by: Sequence[Mapping[str, Any]] | None = None,
    output_format: str = "pandas",
) -> Any:
    """Return the logged models that match a filter.

    Args:
        experiment_ids: Ids of the experiments to search; the active experiment by default.
        filter_string: Filter such as `name = 'model' AND metrics.accuracy > 0.9`.
        datasets: See `MlflowClient.search_logged_models`.
        max_results: Maximum number of models; all by default.
        order_by: See `MlflowClient.search_logged_models`.
        output_format: "pandas" for a DataFrame, "list" for a list of `LoggedModel`.
    """
    from modelyard._client.calls import all_pages
    from modelyard._fluent.search import as_table, check_format

    check_format(output_format)
    ids = [active_experiment_id()] if experiment_ids is None else experiment_ids
    found = all_pages(
        lambda token, page: client().search_logged_models(
            ids, filter_string, datasets, page, order_by, token
        ),
        max_results,
        page_size=1000,
    )
    return found if output_format == "list" else as_table(found)
