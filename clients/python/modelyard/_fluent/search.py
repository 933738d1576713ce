"""Search for runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal, overload

from modelyard._extras import require_extra
from modelyard._fluent.experiments import active_experiment_id, search_experiments
from modelyard._fluent.state import client
from modelyard.entities import Run, ViewType
from modelyard.entities.entity import Entity
from modelyard.exceptions import InvalidParameter

_RUNS_PER_PAGE = 1000
_FORMATS = ("pandas", "list")


@overload
def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
    *,
    output_format: Literal["list"],
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
) -> list[Run]: ...


@overload
def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
    output_format: str = "pandas",
    search_all_experiments: bool = False,  # noqa: FBT001, FBT002 - MLflow's signature
    experiment_names: Sequence[str] | None = None,
) -> Any: ...


def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = 100_000,
    order_by: Sequence[str] | None = None,
    output_format: str = "pandas",
    search_all_experiments: bool = False,  # noqa: FBT001, FBT002 - MLflow's signature
    experiment_names: Sequence[str] | None = None,
) -> Any:
    """Return the runs that match a filter.

    Args:
        experiment_ids: Ids of the experiments to search; the active experiment by default.
        filter_string: Filter such as `metrics.accuracy > 0.9 AND params.depth = '3'`.
        run_view_type: A `ViewType`; active runs by default.
        max_results: Maximum number of runs.
        order_by: Columns such as `["metrics.accuracy DESC"]`; newest first by default.
        output_format: "pandas" for a DataFrame with a column for each metric (`metrics.<key>`),
            param and tag; "list" for a list of `Run`.
        search_all_experiments: Search all experiments; exclusive with ids and names.
        experiment_names: Names of the experiments to search; exclusive with ids. A name that no
            experiment has is left out with a warning.

    Raises:
        InvalidParameter: The format is unknown, or several ways to choose experiments are used.
    """
    from modelyard._client.calls import all_pages

    check_format(output_format)
    ids = _experiments(experiment_ids, experiment_names, everywhere=search_all_experiments)
    found = all_pages(
        lambda token, page: client().search_runs(
            ids, filter_string, run_view_type, page, order_by, token
        ),
        max_results,
        page_size=_RUNS_PER_PAGE,
    )
    return found if output_format == "list" else _runs_table(found)


def check_format(output_format: str) -> None:
    """Refuse an unknown format, or one whose packages are missing, before any call."""
    if output_format not in _FORMATS:
        raise InvalidParameter(
            f"Invalid output_format '{output_format}'; it must be one of {', '.join(_FORMATS)}."
        )
    if output_format == "pandas":
        require_extra("A search with output_format='pandas'", "sklearn", "pandas")


def _experiments(
    ids: Sequence[str] | None, names: Sequence[str] | None, *, everywhere: bool
) -> Sequence[str]:
    if sum((bool(ids), bool(names), everywhere)) > 1:
        raise InvalidParameter(
            "Give only one of experiment_ids, experiment_names and search_all_experiments."
        )
    if everywhere:
        return [found.experiment_id for found in search_experiments(ViewType.ALL)]
    if names:
        return [found for found in map(_id_of, names) if found is not None]
    return [active_experiment_id()] if ids is None else ids


def _id_of(name: str) -> str | None:
    found = client().get_experiment_by_name(name)
    if found is None:
        warnings.warn(f"No experiment is named '{name}'; it is not searched.", stacklevel=5)
        return None
    return found.experiment_id


def _runs_table(runs: Sequence[Run]) -> Any:
    import pandas as pd

    rows = []
    for run in runs:
        info = run.info
        row: dict[str, Any] = {
            "run_id": info.run_id,
            "experiment_id": info.experiment_id,
            "status": info.status,
            "artifact_uri": info.artifact_uri,
            "start_time": _time(info.start_time),
            "end_time": _time(info.end_time),
        }
        row |= {f"metrics.{key}": value for key, value in run.data.metrics.items()}
        row |= {f"params.{key}": value for key, value in run.data.params.items()}
        row |= {f"tags.{key}": value for key, value in run.data.tags.items()}
        rows.append(row)
    fixed = ["run_id", "experiment_id", "status", "artifact_uri", "start_time", "end_time"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=fixed)


def _time(time_ms: int | None) -> Any:
    import pandas as pd

    try:
        return pd.NaT if time_ms is None else pd.Timestamp(time_ms, unit="ms", tz="UTC")
    except ValueError:  # pandas has no time that late
        return pd.NaT


def as_table(found: Iterable[Entity]) -> Any:
    """Return entities as a DataFrame with a column for each of their fields."""
    import pandas as pd

    return pd.DataFrame([item.to_dictionary() for item in found])
