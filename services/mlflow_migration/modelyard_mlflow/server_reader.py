"""Reads a running MLflow server, 2.x or 3.x, by its REST API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_mlflow.local_files import LocalFiles
from modelyard_mlflow.mlflow_http import (
    MlflowRefusal,
    MlflowServer,
    is_proxied,
    items,
    proxied_path,
)
from modelyard_mlflow.source import SourceFile, SourceVersion, Tree, Unreachable, Unreadable

_PAGE = 1000
_RUNS_PAGE = 500
_MODELS_PAGE = 50
_POINTS_PAGE = 25_000
_MAX_DEPTH = 64
_NUMBERS_UNKNOWN = (
    "A server does not report the numbers of versions deleted after the newest remaining one: they "
    "may be assigned again. Import from the database to keep them."
)

M = TypeVar("M", bound=Message)


class ServerReader:
    """`Reader` of a running server.

    Args:
        server: Server to read.
        local: Reader of the files that the server does not serve.
    """

    def __init__(self, server: MlflowServer, local: LocalFiles) -> None:
        self._server = server
        self._local = local
        self.name = server.uri

    def experiments(self) -> Iterator[pb.Experiment]:
        body = {"view_type": "ALL", "max_results": _PAGE}
        for page in self._server.pages("POST", "mlflow/experiments/search", body):
            yield from _messages(page, "experiments", pb.Experiment)

    def runs(self, experiment_id: str) -> Iterator[pb.Run]:
        body = {
            "experiment_ids": [experiment_id],
            "run_view_type": "ALL",
            "max_results": _RUNS_PAGE,
            "order_by": ["attributes.start_time ASC"],
        }
        has_models = any(self.logged_models(experiment_id))
        for page in self._server.pages("POST", "mlflow/runs/search", body):
            for found in _messages(page, "runs", pb.Run):
                if has_models:  # searches do not return the model inputs of runs
                    whole = self._server.get("mlflow/runs/get", {"run_id": found.info.run_id})
                    found.inputs.CopyFrom(_message(whole.get("run"), pb.Run).inputs)
                yield found

    def history(self, run_id: str, key: str) -> Iterator[pb.Metric]:
        query = {"run_id": run_id, "metric_key": key, "max_results": _POINTS_PAGE}
        for page in self._server.pages("GET", "mlflow/metrics/get-history", query):
            yield from _messages(page, "metrics", pb.Metric)

    def logged_models(self, experiment_id: str) -> Iterator[pb.LoggedModel]:
        if not self._server.has_logged_models:
            return
        body = {"experiment_ids": [experiment_id], "max_results": _MODELS_PAGE}
        for page in self._server.pages("POST", "mlflow/logged-models/search", body):
            yield from _messages(page, "models", pb.LoggedModel)

    def registered_models(self) -> Iterator[registry_pb2.RegisteredModel]:
        for page in self._server.pages(
            "GET", "mlflow/registered-models/search", {"max_results": _PAGE}
        ):
            for found in _messages(page, "registered_models", registry_pb2.RegisteredModel):
                # Searches do not return aliases.
                whole = self._server.get("mlflow/registered-models/get", {"name": found.name})
                yield _message(whole.get("registered_model"), registry_pb2.RegisteredModel)

    def versions(self, name: str) -> Iterator[SourceVersion]:
        quote = '"' if "'" in name else "'"
        query = {
            "filter": f"name = {quote}{name}{quote}",
            "max_results": _PAGE,
            "order_by": ["version_number ASC"],
        }
        for page in self._server.pages("GET", "mlflow/model-versions/search", query):
            for found in _messages(page, "model_versions", registry_pb2.ModelVersion):
                if found.name == name:
                    yield SourceVersion(found, self._location(found))

    def _location(self, version: registry_pb2.ModelVersion) -> str:
        query = {"name": version.name, "version": version.version}
        try:
            found = self._server.get("mlflow/model-versions/get-download-uri", query)
        except MlflowRefusal:
            return version.source
        return str(found.get("artifact_uri") or version.source)

    def next_version(self, name: str) -> int:
        return 0  # not available through the REST API

    def files(self, tree: Tree) -> Iterator[SourceFile]:
        if self._local.has(tree):
            yield from self._local.files(tree)
            return
        if not self._hands_out(tree):
            raise Unreadable(self._local.why_not(tree))
        folders = [""]
        while folders:
            folder = folders.pop()
            if folder.count("/") > _MAX_DEPTH:
                raise Unreadable(f"{tree.uri} has endlessly nested folders")
            for page in self._listing(tree, folder):
                for found in items(page, "files"):
                    path = str(found.get("path", ""))
                    if folder and not (tree.run_id or tree.model_id):
                        path = f"{folder}/{path}"  # the proxy returns paths relative to the folder
                    if found.get("is_dir"):
                        folders.append(path)
                    else:
                        yield SourceFile(path, _size_bytes(found))

    def fetch(self, tree: Tree, path: str, target: Path) -> None:
        if self._local.has(tree):
            self._local.fetch(tree, path, target)
            return
        try:
            if tree.run_id:
                query = {"run_id": tree.run_id, "path": path}
                self._server.download("/get-artifact", query, target)
            elif tree.model_id:
                route = f"/ajax-api/2.0/mlflow/logged-models/{tree.model_id}/artifacts/files"
                self._server.download(route, {"artifact_file_path": path}, target)
            else:
                route = f"/api/2.0/mlflow-artifacts/artifacts/{proxied_path(tree.uri)}/{path}"
                self._server.download(route, {}, target)
        except MlflowRefusal as refused:
            raise Unreadable(f"the server does not return '{path}' ({refused})") from None

    def left_out(self) -> list[str]:
        return [
            "Traces, prompts, evaluation data, webhooks, users and permissions are not migrated.",
            _NUMBERS_UNKNOWN,
        ]

    def _hands_out(self, tree: Tree) -> bool:
        """Whether the server serves the files: by their run or logged model, or by its proxy."""
        return bool(tree.run_id or tree.model_id) or is_proxied(tree.uri)

    def _listing(self, tree: Tree, path: str) -> Iterator[dict[str, Any]]:
        route, query = "mlflow/artifacts/list", {"run_id": tree.run_id, "path": path or None}
        if tree.model_id:
            route = f"mlflow/logged-models/{tree.model_id}/artifacts/directories"
            query = {"artifact_directory_path": path or None}
        elif not tree.run_id:
            route = "mlflow-artifacts/artifacts"
            query = {"path": f"{proxied_path(tree.uri)}/{path}".rstrip("/")}
        try:
            yield from self._server.pages("GET", route, query)
        except MlflowRefusal as refused:
            raise Unreadable(f"{tree.uri} cannot be listed by the server ({refused})") from None


def _messages(page: dict[str, Any], field: str, kind: type[M]) -> Iterator[M]:
    for item in items(page, field):
        yield _message(item, kind)


def _message(item: Any, kind: type[M]) -> M:
    try:
        if isinstance(item, dict):
            return ParseDict(item, kind(), ignore_unknown_fields=True)
        problem = "it is not a JSON object"
    except ParseError as error:
        problem = str(error)
    raise Unreachable(f"The server returned an invalid {kind.DESCRIPTOR.name}: {problem}")


def _size_bytes(item: dict[str, Any]) -> int:
    try:
        return int(item.get("file_size") or 0)
    except (TypeError, ValueError):
        raise Unreachable("The server returned a file_size that is not a number.") from None
