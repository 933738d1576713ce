"""Logging to the active run; a run is started if none is active.

With `synchronous=False` a call returns at once, and what it logs is sent in the background; the
returned object's `wait()` returns when it is stored. See `MlflowClient.log_metric`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelyard._client import background
from modelyard._client.arguments import naming_wrong_types
from modelyard._client.background import RunOperations
from modelyard._fluent.runs import active_or_new_run_id
from modelyard._fluent.state import client
from modelyard.entities import Metric, Param, RunTag


def log_param(
    key: str,
    value: Any,
    synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
) -> Any:
    """Log a param, which is immutable afterwards, and return its value."""
    return client().log_param(active_or_new_run_id(), key, value, synchronous)


@naming_wrong_types
def log_params(
    params: Mapping[str, Any],
    synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
    run_id: str | None = None,
) -> RunOperations | None:
    """Log params, in atomic batches of 100."""
    items = [Param(key, value) for key, value in params.items()]
    return client().log_batch(active_or_new_run_id(run_id), params=items, synchronous=synchronous)


def log_metric(
    key: str,
    value: float,
    step: int | None = None,
    synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
    timestamp: int | None = None,
    run_id: str | None = None,
    model_id: str | None = None,
) -> RunOperations | None:
    """Log one point of a metric's curve; see `MlflowClient.log_metric`."""
    return client().log_metric(
        active_or_new_run_id(run_id), key, value, timestamp, step, synchronous, model_id=model_id
    )


@naming_wrong_types
def log_metrics(
    metrics: Mapping[str, float],
    step: int | None = None,
    synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
    run_id: str | None = None,
    timestamp: int | None = None,
    model_id: str | None = None,
) -> RunOperations | None:
    """Log one point of each of many metrics, all with the same timestamp and step."""
    when_ms = time.time_ns() // 1_000_000 if timestamp is None else timestamp
    points = [
        Metric(key, value, when_ms, step or 0, model_id=model_id) for key, value in metrics.items()
    ]
    return client().log_batch(active_or_new_run_id(run_id), metrics=points, synchronous=synchronous)


def set_tag(
    key: str,
    value: Any,
    synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
) -> RunOperations | None:
    """Set a tag of the active run."""
    return client().set_tag(active_or_new_run_id(), key, value, synchronous)


@naming_wrong_types
def set_tags(
    tags: Mapping[str, Any],
    synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
) -> RunOperations | None:
    """Set tags of the active run."""
    items = [RunTag(key, value) for key, value in tags.items()]
    return client().log_batch(active_or_new_run_id(), tags=items, synchronous=synchronous)


def flush_async_logging() -> None:
    """Wait until everything that was logged with `synchronous=False` is stored.

    Raises:
        ModelyardException: Something was refused, or the server stayed away; the first failure that
            no `wait()` has raised.
    """
    background.flush()


def delete_tag(key: str) -> None:
    """Delete a tag of the active run."""
    client().delete_tag(active_or_new_run_id(), key)


def log_artifact(
    local_path: str | Path, artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Upload a file, or a folder under its own name, to the active run."""
    client().log_artifact(active_or_new_run_id(run_id), local_path, artifact_path)


def log_artifacts(
    local_dir: str | Path, artifact_path: str | None = None, run_id: str | None = None
) -> None:
    """Upload the content of a folder to the active run."""
    client().log_artifacts(active_or_new_run_id(run_id), local_dir, artifact_path)


def log_text(text: str, artifact_file: str, run_id: str | None = None) -> None:
    """Write text to a file of the run."""
    client().log_text(active_or_new_run_id(run_id), text, artifact_file)


def log_dict(dictionary: Mapping[str, Any], artifact_file: str, run_id: str | None = None) -> None:
    """Write a dict as YAML (`.yml`, `.yaml`) or else JSON to a file of the run."""
    client().log_dict(active_or_new_run_id(run_id), dictionary, artifact_file)


def log_figure(
    figure: Any, artifact_file: str, *, save_kwargs: Mapping[str, Any] | None = None
) -> None:
    """Write a matplotlib or plotly figure to a file of the run."""
    run_id = active_or_new_run_id()
    client().log_figure(run_id, figure, artifact_file, save_kwargs=save_kwargs)


def log_image(
    image: Any,
    artifact_file: str | None = None,
    key: str | None = None,
    step: int | None = None,
    timestamp: int | None = None,
    synchronous: bool | None = None,  # noqa: FBT001 - MLflow's signature
) -> None:
    """Write an image to a file of the run, or add it to a series; see `MlflowClient.log_image`."""
    run_id = active_or_new_run_id()
    client().log_image(run_id, image, artifact_file, key, step, timestamp, synchronous)


def get_artifact_uri(artifact_path: str | None = None) -> str:
    """Return the URI of the active run's artifacts, or of a path among them."""
    root = client().get_run(active_or_new_run_id()).info.artifact_uri
    return f"{root}/{artifact_path}" if artifact_path else root
