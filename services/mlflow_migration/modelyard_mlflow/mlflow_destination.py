"""The MLflow server that an export writes to."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from modelyard_mlflow.destination import Curve, Point
from modelyard_mlflow.limits import shown
from modelyard_mlflow.mlflow_http import (
    MlflowRefusal,
    MlflowServer,
    is_proxied,
    items,
    proxied_path,
)

_PAGE = 1000
_MODELS_PAGE = 50
_POINTS_PAGE = 25_000
_POINTS_PER_BATCH = 1000
_ITEMS_PER_BATCH = 100

Item = dict[str, Any]
T = TypeVar("T")


class MlflowDestination:
    """Writes to a running MLflow server.

    Args:
        uri: Address of the server, with credentials if it requires them.

    Raises:
        Unreachable: No MLflow server answers at the address.
    """

    def __init__(self, uri: str) -> None:
        self.server = MlflowServer(uri)

    def experiment(self, name: str) -> Item | None:
        """Return the experiment of a name, active or deleted; None if it does not exist."""
        query = {"experiment_name": name}
        return self._found("mlflow/experiments/get-by-name", query, "experiment")

    def runs(self, experiment_id: str) -> Iterator[Item]:
        """Yield every run of an experiment, including deleted ones."""
        body = {"experiment_ids": [experiment_id], "run_view_type": "ALL", "max_results": _PAGE}
        return self._pages("POST", "mlflow/runs/search", body, "runs")

    def logged_models(self, experiment_id: str) -> Iterator[Item]:
        """Yield every logged model of an experiment; none on MLflow 2."""
        if not self.server.has_logged_models:
            return iter(())
        body = {"experiment_ids": [experiment_id], "max_results": _MODELS_PAGE}
        return self._pages("POST", "mlflow/logged-models/search", body, "models")

    def registered_model(self, name: str) -> Item | None:
        """Return a registered model; None if it does not exist."""
        return self._found("mlflow/registered-models/get", {"name": name}, "registered_model")

    def versions(self, name: str) -> Iterator[Item]:
        """Yield the versions of a registered model."""
        quote = '"' if "'" in name else "'"
        query = {"filter": f"name = {quote}{name}{quote}", "max_results": _PAGE}
        return self._pages("GET", "mlflow/model-versions/search", query, "model_versions")

    def points(self, run_id: str, key: str) -> set[Point]:
        """Return the points of a run's metric."""
        query = {"run_id": run_id, "metric_key": key, "max_results": _POINTS_PAGE}
        found = self._pages("GET", "mlflow/metrics/get-history", query, "metrics")
        return {
            Point(
                int(item.get("timestamp", 0)),
                int(item.get("step", 0)),
                None if item["value"] == "NaN" else float(item["value"]),
            )
            for item in found
        }

    def log_metrics(self, run_id: str, curve: Curve, points: Iterable[Point]) -> None:
        """Append points to a curve of an active run; infinities become the largest floats."""
        extra: Item = {}
        if curve.model_id:
            extra["model_id"] = curve.model_id
        if curve.dataset_name:
            extra |= {"dataset_name": curve.dataset_name, "dataset_digest": curve.dataset_digest}
        for chunk in chunks(points, _POINTS_PER_BATCH):
            metrics = [
                {
                    "key": curve.key,
                    "value": _number(point.value),
                    "timestamp": point.timestamp_ms,
                    "step": point.step,
                    **extra,
                }
                for point in chunk
            ]
            self.post("mlflow/runs/log-batch", {"run_id": run_id, "metrics": metrics})

    def log_pairs(self, run_id: str, noun: str, pairs: Mapping[str, str]) -> None:
        """Write `params` or `tags` of an active run."""
        for chunk in chunks(pairs.items(), _ITEMS_PER_BATCH):
            items = [{"key": key, "value": value} for key, value in chunk]
            self.post("mlflow/runs/log-batch", {"run_id": run_id, noun: items})

    def post(self, route: str, body: Mapping[str, Any]) -> Item:
        """POST to a route below `/api/2.0/`."""
        return self.server.send("POST", route, body)

    def takes_files(self, artifact_uri: str) -> bool:
        """Whether the server accepts uploads for an artifact URI through its proxy."""
        return is_proxied(artifact_uri)

    def sizes_bytes(self, artifact_uri: str) -> dict[str, int]:
        """Return the size of each file below an artifact URI, by path relative to it."""
        root, folders, found = proxied_path(artifact_uri), [""], dict[str, int]()
        while folders:
            folder = folders.pop()
            query = {"path": f"{root}/{folder}".rstrip("/")}
            for item in items(self.server.get("mlflow-artifacts/artifacts", query), "files"):
                path = f"{folder}/{item['path']}".lstrip("/")
                if item.get("is_dir"):
                    folders.append(path)
                else:
                    found[path] = int(item.get("file_size") or 0)
        return found

    def put(
        self, artifact_uri: str, paths: Sequence[str], fetch: Callable[[str, str], Path]
    ) -> None:
        """Upload files, which `fetch(path, folder)` brings to this machine.

        Raises:
            MlflowRefusal: The server refuses a file; names it.
        """
        for path in paths:
            with tempfile.TemporaryDirectory(prefix="modelyard-export-") as folder:
                source = fetch(path, folder)
                route = f"/api/2.0/mlflow-artifacts/artifacts/{proxied_path(artifact_uri)}/{path}"
                try:
                    self.server.upload(route, source)
                except MlflowRefusal as refused:
                    message = f"file {shown(path)}: {refused.message}"
                    raise MlflowRefusal(refused.status, refused.code, message) from None

    def _found(self, route: str, query: Mapping[str, str], field: str) -> Item | None:
        try:
            found: Item = self.server.get(route, query)[field]
        except MlflowRefusal as refused:
            if refused.is_missing:
                return None
            raise
        return found

    def _pages(self, method: str, route: str, query: Item, field: str) -> Iterator[Item]:
        for page in self.server.pages(method, route, query):
            yield from items(page, field)


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of an entity in a reply."""
    return {tag["key"]: tag.get("value", "") for tag in item.get("tags", [])}


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield items in lists of at most `size`."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _number(value: float | None) -> float | str:
    if value is None:
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
