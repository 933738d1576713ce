"""Registered models and logged models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelyard._fluent.experiments import active_experiment_id
from modelyard._fluent.state import client, process
from modelyard.entities import LoggedModel, LoggedModelStatus
from modelyard.entities.model_registry import ModelVersion, RegisteredModel


def register_model(
    model_uri: str,
    name: str,
    await_registration_for: int | None = 300,
    *,
    tags: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Register the next version of a model; make the model if there is none of that name.

    Args:
        model_uri: `runs:/<run_id>/<path>`, `models:/m-<id>` or `models:/<name>/<version>`.
        name: Not blank, no "/" or ":", at most 256 characters.
        await_registration_for: Of no effect: a version is READY when this returns.
        tags: Of the version; values are turned to text.

    Raises:
        NotFound: The URI names no model.
    """
    return client().create_model_version(
        name,
        model_uri,
        tags=tags,
        await_creation_for=await_registration_for,
        create_registered_model=True,
    )


def search_registered_models(
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[RegisteredModel]:
    """Return the registered models that match a filter: all of them, or `max_results`."""
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
    """Return the versions that match a filter: all of them, or `max_results`."""
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
    """Return a logged model."""
    return client().get_logged_model(model_id)


def last_logged_model() -> LoggedModel | None:
    """Return the model this process logged last; None without one."""
    return client().get_logged_model(process.last_model_id) if process.last_model_id else None


def finalize_logged_model(model_id: str, status: LoggedModelStatus | str) -> LoggedModel:
    """Say that the upload is complete ("READY") or has failed ("FAILED")."""
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
        experiment_ids: The active experiment by default.
        filter_string: Such as `name = 'model' AND metrics.accuracy > 0.9`.
        datasets: See `MlflowClient.search_logged_models`.
        max_results: All of them by default.
        order_by: See `MlflowClient.search_logged_models`.
        output_format: "pandas" or "list".
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
