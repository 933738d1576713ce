"""The Modelyard server that an export reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.exceptions import NotFound
from modelyard.internal import Owner, connections, download, rpc
from modelyard_kit.artifacts import Digest, Manifest, ManifestFile, ManifestPart

_DEADLINE_S = 120.0
_PAGE = 500
_RUNS_PAGE = 100

R = TypeVar("R", bound=Message)


class ModelyardSource:
    """Reads a Modelyard server.

    Args:
        uri: Address of the server; None for the local home.
    """

    def __init__(self, uri: str | None) -> None:
        self.uri = uri
        self.shown = connections.connect(uri).uri

    def experiments(self) -> Iterator[pb.Experiment]:
        """Yield every experiment, including deleted ones."""
        request = pb.SearchExperimentsRequest(
            view_type=pb.ALL, max_results=_PAGE, order_by=["creation_time ASC"]
        )
        for page in rpc.pages(self._call, request, pb.SearchExperimentsResponse):
            yield from page.experiments

    def runs(self, experiment_id: str) -> Iterator[pb.Run]:
        """Yield every run of an experiment by start time, including deleted ones."""
        request = pb.SearchRunsRequest(
            experiment_ids=[experiment_id],
            run_view_type=pb.ALL,
            max_results=_RUNS_PAGE,
            order_by=["attributes.start_time ASC"],
        )
        for page in rpc.pages(self._call, request, pb.SearchRunsResponse):
            yield from page.runs

    def series(self, run_id: str, key: str) -> Iterator[pb.MetricSeries]:
        """Yield the curves of a metric, one for each logged model and dataset."""
        request = pb.GetMetricSeriesRequest(run_ids=[run_id], metric_keys=[key])
        for run in self._call(request, pb.GetMetricSeriesResponse).runs:
            yield from run.series

    def logged_models(self, experiment_id: str) -> Iterator[pb.LoggedModel]:
        """Yield every logged model of an experiment."""
        request = pb.SearchLoggedModelsRequest(experiment_ids=[experiment_id], max_results=_PAGE)
        for page in rpc.pages(self._call, request, pb.SearchLoggedModelsResponse):
            yield from page.models

    def registered_models(self) -> Iterator[registry_pb2.RegisteredModel]:
        """Yield every registered model, by name."""
        request = registry_pb2.SearchRegisteredModelsRequest(max_results=_PAGE)
        for page in rpc.pages(self._call, request, registry_pb2.SearchRegisteredModelsResponse):
            yield from page.registered_models

    def versions(self, name: str) -> list[registry_pb2.ModelVersion]:
        """Return the versions of a registered model, by number."""
        quote = '"' if "'" in name else "'"
        request = registry_pb2.SearchModelVersionsRequest(
            filter=f"name = {quote}{name}{quote}",
            max_results=_PAGE,
            order_by=["version_number ASC"],
        )
        pages = rpc.pages(self._call, request, registry_pb2.SearchModelVersionsResponse)
        return [version for page in pages for version in page.model_versions]

    def files(
        self, owner: Owner, path: str = "", *, own_only: bool
    ) -> dict[str, artifacts_pb2.ArtifactFile]:
        """Return the files of a run or logged model at or below a path, by full path.

        Args:
            owner: The run or logged model.
            path: Path in its tree.
            own_only: Whether to leave out files of a run's logged models, or of a model's run.
        """
        request = artifacts_pb2.GetArtifactsRequest(
            run_id=owner.run_id, model_id=owner.model_id, path=path, own_files_only=own_only
        )
        try:
            reply = self._call(request, artifacts_pb2.GetArtifactsResponse)
        except NotFound:
            return {}
        return {file.path: file for file in reply.files}

    def digest(self, owner: Owner, path: str, *, own_only: bool) -> str:
        """Return the digest of the files in a folder; empty if it has none; see `files`."""
        files = self.files(owner, path, own_only=own_only)
        prefix = f"{path}/" if path else ""
        if not files or not all(name.startswith(prefix) for name in files):
            return ""
        manifest = Manifest(
            ManifestFile(
                name.removeprefix(prefix),
                file.size_bytes,
                Digest(file.digest),
                tuple(ManifestPart(Digest(part.digest), part.size_bytes) for part in file.parts),
            )
            for name, file in files.items()
        )
        return str(manifest.digest)

    def download(self, owner: Owner, path: str, folder: str) -> Path:
        """Download a file to its path below a local folder."""
        return download(self.uri, owner, path, folder)

    def _call(self, request: Message, reply: type[R]) -> R:
        return rpc.call(self.uri, request, reply, timeout_s=_DEADLINE_S)
