"""The Modelyard server that an import writes to."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from google.protobuf.message import Message

from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.exceptions import InvalidParameter, NotFound
from modelyard.internal import Owner, connections, rpc, upload_content
from modelyard_mlflow.source import SourceFile

_DEADLINE_S = 120.0
_POINTS_PER_CALL = 50_000
_FILES_PER_BATCH = 200
_BATCH_BYTES = 256 << 20
_MAX_MISSING = 10_000
_MAX_REASON_CHARACTERS = 1_000

R = TypeVar("R", bound=Message)

Fetch = Callable[[str, Path], None]
"""Brings a file to a path, whose folder need not exist."""


class Curve(NamedTuple):
    """Curve of metric points; ids and names are empty if it has none."""

    key: str
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class Point(NamedTuple):
    """A point of a curve; `value` is None for NaN, so that equal points compare equal."""

    timestamp_ms: int
    step: int
    value: float | None

    @classmethod
    def of(cls, metric: pb.Metric) -> Point:
        value = None if math.isnan(metric.value) else metric.value
        return cls(metric.timestamp, metric.step, value)


class Stored(NamedTuple):
    """The files of a tree at the destination.

    Attributes:
        sizes_bytes: Sizes of the files, by path.
        missing: Reasons of the files that an earlier import has not brought, by path.
    """

    sizes_bytes: dict[str, int]
    missing: dict[str, str]


class Destination(Protocol):
    """Destination of an import: a server, or nothing in a dry run."""

    def experiment(self, message: pb.Experiment) -> tuple[str, bool]:
        """Write an experiment; return its id at the destination and whether it was created."""

    def run(self, message: pb.Run) -> tuple[str, bool]:
        """Write a run; return its id at the destination and whether it was created."""

    def logged_model(self, message: pb.LoggedModel) -> tuple[str, bool]:
        """Write a logged model; return its id at the destination and whether it was created."""

    def registered_model(
        self, message: registry_pb2.RegisteredModel, next_version: int
    ) -> tuple[str, bool]:
        """Write a registered model; return its new name and whether it was created."""

    def version(self, message: registry_pb2.ModelVersion) -> tuple[registry_pb2.ModelVersion, bool]:
        """Write a version; return the stored version and whether it was created."""

    def source(self, name: str, version: str) -> str:
        """Return the source of a version; empty unless the version exists and is verified."""

    def points(self, run_id: str) -> dict[Curve, set[Point]]:
        """Return the points of a run, by curve."""

    def log(self, run_id: str, curve: Curve, points: Iterable[Point]) -> None:
        """Append points to a curve of an active run."""

    def stored(self, owner: Owner) -> Stored:
        """Return the files of a run or logged model itself."""

    def set_missing(self, owner: Owner, missing: Mapping[str, str]) -> None:
        """Record which files a run or logged model lacks, with reasons, by path."""

    def put(self, owner: Owner, files: Iterable[SourceFile], fetch: Fetch) -> None:
        """Write files, which `fetch` brings to this machine, to a run or logged model."""


class ServerDestination:
    """`Destination` of a server.

    Args:
        uri: Address of the server; None for the local home.
        origin: Name of the origin, under which the imported entities are known.
    """

    def __init__(self, uri: str | None, origin: str) -> None:
        self.uri = uri
        self._origin = origin
        self.shown = connections.connect(uri).uri

    def experiment(self, message: pb.Experiment) -> tuple[str, bool]:
        request = pb.ImportExperimentRequest(origin=self._origin, experiment=message)
        reply = self._call(request, pb.ImportExperimentResponse)
        return reply.experiment_id, reply.created

    def run(self, message: pb.Run) -> tuple[str, bool]:
        request = pb.ImportRunRequest(origin=self._origin, run=message)
        reply = self._call(request, pb.ImportRunResponse)
        return reply.run_id, reply.created

    def logged_model(self, message: pb.LoggedModel) -> tuple[str, bool]:
        request = pb.ImportLoggedModelRequest(origin=self._origin, model=message)
        reply = self._call(request, pb.ImportLoggedModelResponse)
        return reply.model_id, reply.created

    def registered_model(
        self, message: registry_pb2.RegisteredModel, next_version: int
    ) -> tuple[str, bool]:
        request = registry_pb2.ImportRegisteredModelRequest(
            origin=self._origin, registered_model=message, next_version=next_version
        )
        reply = self._call(request, registry_pb2.ImportRegisteredModelResponse)
        return reply.registered_model.name, reply.created

    def version(self, message: registry_pb2.ModelVersion) -> tuple[registry_pb2.ModelVersion, bool]:
        request = registry_pb2.ImportModelVersionRequest(origin=self._origin, model_version=message)
        reply = self._call(request, registry_pb2.ImportModelVersionResponse)
        return reply.model_version, reply.created

    def source(self, name: str, version: str) -> str:
        request = registry_pb2.GetModelVersionRequest(name=name, version=version)
        try:
            found = self._call(request, registry_pb2.GetModelVersionResponse).model_version
        except NotFound:
            return ""
        return found.source if found.verified else ""

    def points(self, run_id: str) -> dict[Curve, set[Point]]:
        request = pb.GetMetricSeriesRequest(run_ids=[run_id])
        try:
            reply = self._call(request, pb.GetMetricSeriesResponse)
        except InvalidParameter:
            return {}  # more than fits in a reply; writing a point again has no effect
        found: dict[Curve, set[Point]] = {}
        for series in (series for run in reply.runs for series in run.series):
            curve = Curve(series.key, series.model_id, series.dataset_name, series.dataset_digest)
            columns = zip(series.timestamps, series.steps, series.values, strict=True)
            found[curve] = {
                Point(timestamp_ms, step, None if math.isnan(value) else value)
                for timestamp_ms, step, value in columns
            }
        return found

    def log(self, run_id: str, curve: Curve, points: Iterable[Point]) -> None:
        rest = iter(points)
        while chunk := list(islice(rest, _POINTS_PER_CALL)):
            series = pb.MetricSeries(
                key=curve.key,
                steps=[point.step for point in chunk],
                timestamps=[point.timestamp_ms for point in chunk],
                values=[math.nan if point.value is None else point.value for point in chunk],
            )
            if curve.model_id:
                series.model_id = curve.model_id
            if curve.dataset_name:
                series.dataset_name = curve.dataset_name
                series.dataset_digest = curve.dataset_digest
            request = pb.LogMetricSeriesRequest(run_id=run_id, series=[series])
            self._call(request, pb.LogMetricSeriesResponse)

    def stored(self, owner: Owner) -> Stored:
        request = artifacts_pb2.GetArtifactsRequest(
            run_id=owner.run_id, model_id=owner.model_id, own_files_only=True
        )
        try:
            reply = self._call(request, artifacts_pb2.GetArtifactsResponse)
        except NotFound:
            return Stored({}, {})
        return Stored(
            {file.path: file.size_bytes for file in reply.files},
            {file.path: file.reason for file in reply.missing},
        )

    def set_missing(self, owner: Owner, missing: Mapping[str, str]) -> None:
        if len(missing) > _MAX_MISSING:
            missing = {"": f"{len(missing):,} files are missing"}
        files = [
            artifacts_pb2.MissingFile(path=path, reason=reason[:_MAX_REASON_CHARACTERS])
            for path, reason in missing.items()
        ]
        request = artifacts_pb2.SetMissingArtifactsRequest(
            run_id=owner.run_id, model_id=owner.model_id, files=files
        )
        self._call(request, artifacts_pb2.SetMissingArtifactsResponse)

    def put(self, owner: Owner, files: Iterable[SourceFile], fetch: Fetch) -> None:
        for batch in _batches(files):
            with tempfile.TemporaryDirectory(prefix="modelyard-import-") as folder:
                for file in batch:
                    fetch(file.path, Path(folder, file.path))
                upload_content(self.uri, owner, folder, None)

    def _call(self, request: Message, reply: type[R]) -> R:
        return rpc.call(self.uri, request, reply, timeout_s=_DEADLINE_S)


class DryRun:
    """`Destination` of a dry run: everything would be created, under its id at the source."""

    def experiment(self, message: pb.Experiment) -> tuple[str, bool]:
        return message.experiment_id, True

    def run(self, message: pb.Run) -> tuple[str, bool]:
        return message.info.run_id, True

    def logged_model(self, message: pb.LoggedModel) -> tuple[str, bool]:
        return message.info.model_id, True

    def registered_model(
        self,
        message: registry_pb2.RegisteredModel,
        next_version: int,
    ) -> tuple[str, bool]:
        return message.name, True

    def version(self, message: registry_pb2.ModelVersion) -> tuple[registry_pb2.ModelVersion, bool]:
        return message, True

    def source(self, name: str, version: str) -> str:
        return ""

    def points(self, run_id: str) -> dict[Curve, set[Point]]:
        return {}

    def log(self, run_id: str, curve: Curve, points: Iterable[Point]) -> None:
        """Write nothing."""

    def stored(self, owner: Owner) -> Stored:
        return Stored({}, {})

    def set_missing(self, owner: Owner, missing: Mapping[str, str]) -> None:
        """Write nothing."""

    def put(self, owner: Owner, files: Iterable[SourceFile], fetch: Fetch) -> None:
        """Write nothing."""


def _batches(files: Iterable[SourceFile]) -> Iterator[list[SourceFile]]:
    """Yield batches of files that fit on a small disk."""
    batch: list[SourceFile] = []
    size_bytes = 0
    for file in files:
        if batch and (
            len(batch) == _FILES_PER_BATCH or size_bytes + file.size_bytes > _BATCH_BYTES
        ):
            yield batch
            batch, size_bytes = [], 0
        batch.append(file)
        size_bytes += file.size_bytes
    if batch:
        yield batch
