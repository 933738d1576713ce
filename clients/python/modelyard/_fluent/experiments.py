"""Experiments, and the active one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from modelyard._environment import setting
from modelyard._fluent.state import client, process
from modelyard.entities import Experiment, ViewType
from modelyard.exceptions import AlreadyExists, InvalidParameter, InvalidState, NotFound

DEFAULT_EXPERIMENT_ID = "0"


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None
) -> Experiment:
    """Choose the experiment of the runs to come; make it if there is none of that name.

    Args:
        experiment_name: Or else give `experiment_id`.
        experiment_id: Of an existing one.

    Raises:
        InvalidState: It is deleted.
        NotFound: There is none of that id.
    """
    if (experiment_name is None) == (experiment_id is None):
        raise InvalidParameter("Give either experiment_name or experiment_id.")
    if experiment_name is None:
        found = client().get_experiment(str(experiment_id))
    else:
        found = _get_or_create(experiment_name)
    if found.lifecycle_stage != "active":
        raise InvalidState(
            f"The experiment '{found.name}' is deleted. Restore it with "
            f"modelyard.restore_experiment('{found.experiment_id}'), or choose another."
        )
    process.experiment_id = found.experiment_id
    return found


def _get_or_create(name: str) -> Experiment:
    known = client().get_experiment_by_name(name)
    if known:
        return known
    with contextlib.suppress(AlreadyExists):  # then somebody else made it meanwhile
        client().create_experiment(name)
    made = client().get_experiment_by_name(name)
    if made is None:
        raise NotFound(f"The experiment '{name}' was renamed right after it was made.")
    return made


def active_experiment_id() -> str:
    """Return the id of the experiment new runs belong to.

    That of `set_experiment`, or else of the environment's `MODELYARD_EXPERIMENT_NAME` (made if
    need be) or `MODELYARD_EXPERIMENT_ID`, or else "0", Default.
    """
    if process.experiment_id is not None:
        return process.experiment_id
    name = setting("EXPERIMENT_NAME")
    if name:
        return set_experiment(name).experiment_id
    return setting("EXPERIMENT_ID") or DEFAULT_EXPERIMENT_ID


def create_experiment(
    name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None
) -> str:
    """Create an experiment and return its id; see `MlflowClient.create_experiment`."""
    return client().create_experiment(name, artifact_location, tags)


def get_experiment(experiment_id: str) -> Experiment:
    """Return an experiment, also a deleted one."""
    return client().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Experiment | None:
    """Return the experiment of that name, also a deleted one; None if there is none."""
    return client().get_experiment_by_name(name)


def delete_experiment(experiment_id: str) -> None:
    """Delete an experiment with its runs; `restore_experiment` brings them back."""
    client().delete_experiment(experiment_id)


def restore_experiment(experiment_id: str) -> None:
    """Restore a deleted experiment with the runs that were deleted with it."""
    client().restore_experiment(experiment_id)


def search_experiments(
    view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int | None = None,
    filter_string: str | None = None,
    order_by: Sequence[str] | None = None,
) -> list[Experiment]:
    """Return the experiments that match a filter: all of them, or `max_results`."""
    from modelyard._client.calls import all_pages

    return all_pages(
        lambda token, page: client().search_experiments(
            view_type, page, filter_string, order_by, token
        ),
        max_results,
        page_size=1000,
    )


def set_experiment_tag(key: str, value: Any) -> None:
    """Set a tag of the active experiment."""
    client().set_experiment_tag(active_experiment_id(), key, value)


def set_experiment_tags(tags: Mapping[str, Any]) -> None:
    """Set tags of the active experiment."""
    for key, value in tags.items():
        set_experiment_tag(key, value)


def delete_experiment_tag(key: str) -> None:
    """Delete a tag of the active experiment."""
    client().delete_experiment_tag(active_experiment_id(), key)
