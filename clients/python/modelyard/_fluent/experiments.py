"""Experiments, and the active one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from modelyard._environment import export, setting
from modelyard._fluent.state import client, process
from modelyard._notices import notice
from modelyard.entities import Experiment, ViewType
from modelyard.exceptions import AlreadyExists, InvalidParameter, InvalidState, NotFound

DEFAULT_EXPERIMENT_ID = "0"


def set_experiment(
    experiment_name: str | None = None, experiment_id: str | None = None
) -> Experiment:
    """Set the experiment for new runs, also of child processes.

    An experiment is created if none has the name.

    Args:
        experiment_name: Name of the experiment; exclusive with `experiment_id`.
        experiment_id: Id of an existing experiment.

    Raises:
        InvalidState: The experiment is deleted.
        NotFound: No experiment has this id.
    """
    if (experiment_name is None) == (experiment_id is None):
        raise InvalidParameter("Give either experiment_name or experiment_id.")
    if experiment_name is None:
        found = _active(client().get_experiment(str(experiment_id)))
    else:
        found = _active(_get_or_create(experiment_name))
    process.experiment_id = found.experiment_id
    export("EXPERIMENT_ID", found.experiment_id)
    if setting("EXPERIMENT_NAME"):  # it must not contradict the id
        export("EXPERIMENT_NAME", found.name)
    return found


def _active(found: Experiment) -> Experiment:
    if found.lifecycle_stage != "active":
        raise InvalidState(
            f"The experiment '{found.name}' is deleted. Restore it with "
            f"modelyard.restore_experiment('{found.experiment_id}'), or choose another."
        )
    return found


def _get_or_create(name: str) -> Experiment:
    known = client().get_experiment_by_name(name)
    if known:
        return known
    with contextlib.suppress(AlreadyExists):  # created concurrently
        notice("created experiment %r with id %s", name, client().create_experiment(name))
    made = client().get_experiment_by_name(name)
    if made is None:
        raise NotFound(f"The experiment '{name}' was renamed right after it was created.")
    return made


def active_experiment_id() -> str:
    """Return the id of the experiment for new runs.

    That of `set_experiment`, else of the environment's `MODELYARD_EXPERIMENT_NAME` (created if it
    does not exist) or `MODELYARD_EXPERIMENT_ID`, else "0", the experiment Default.

    Raises:
        InvalidParameter: The environment's name and id belong to different experiments.
    """
    if process.experiment_id is not None:
        return process.experiment_id
    name, experiment_id = setting("EXPERIMENT_NAME"), setting("EXPERIMENT_ID")
    if name:
        process.experiment_id = _named_by_environment(name, experiment_id).experiment_id
        return process.experiment_id
    return experiment_id or DEFAULT_EXPERIMENT_ID


def _named_by_environment(name: str, experiment_id: str | None) -> Experiment:
    if experiment_id is None:
        return _active(_get_or_create(name))
    found = client().get_experiment(experiment_id)
    if found.name != name:
        raise InvalidParameter(
            f"The environment names the experiment '{name}' (MODELYARD_EXPERIMENT_NAME or "
            f"MLFLOW_EXPERIMENT_NAME), but the experiment {experiment_id} "
            f"(MODELYARD_EXPERIMENT_ID or MLFLOW_EXPERIMENT_ID) is '{found.name}'. Unset one."
        )
    return _active(found)


def create_experiment(
    name: str, artifact_location: str | None = None, tags: Mapping[str, Any] | None = None
) -> str:
    """Create an experiment and return its id; see `MlflowClient.create_experiment`."""
    return client().create_experiment(name, artifact_location, tags)


def get_experiment(experiment_id: str) -> Experiment:
    """Return an experiment, active or deleted; raise `NotFound` if it does not exist."""
    return client().get_experiment(experiment_id)


def get_experiment_by_name(name: str) -> Experiment | None:
    """Return the experiment of that name, active or deleted; None if it does not exist."""
    return client().get_experiment_by_name(name)


def delete_experiment(experiment_id: str) -> None:
    """Delete an experiment with its runs; `restore_experiment` restores them."""
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
    """Return the experiments that match a filter, at most `max_results`; all by default."""
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
