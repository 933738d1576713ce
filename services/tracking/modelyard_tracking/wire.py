"""Conversion of rows to messages and back, without I/O. Only this module knows both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.artifacts import Digest, ManifestFile, ManifestPart
from modelyard_tracking.models import (
    Experiment,
    ExperimentTag,
    LoggedModel,
    LoggedModelParam,
    LoggedModelTag,
    Run,
)
from modelyard_tracking.operations.history import HistoryPoint
from modelyard_tracking.operations.inputs import NewDatasetInput
from modelyard_tracking.operations.levels import Entry
from modelyard_tracking.operations.whole_runs import WholeRun
from modelyard_tracking.rules.heartbeats import lost_since_ms
from modelyard_tracking.rules.points import Curve, Point, RawPoint, RawSeries
from modelyard_tracking.rules.states import ModelStatus, RunStatus, View
from modelyard_tracking.rules.values import (
    experiment_artifacts,
    model_artifacts,
    run_artifacts,
    unique,
)
from modelyard_tracking.search.logged_models import ModelOrder, OnDataset

_MODEL_STATUSES = {
    ModelStatus.PENDING: pb.LOGGED_MODEL_PENDING,
    ModelStatus.READY: pb.LOGGED_MODEL_READY,
    ModelStatus.FAILED: pb.LOGGED_MODEL_UPLOAD_FAILED,
}
_RUN_STATUSES = {
    RunStatus.RUNNING: pb.RUNNING,
    RunStatus.SCHEDULED: pb.SCHEDULED,
    RunStatus.FINISHED: pb.FINISHED,
    RunStatus.FAILED: pb.FAILED,
    RunStatus.KILLED: pb.KILLED,
}
_VIEWS = {
    pb.ACTIVE_ONLY: View.ACTIVE_ONLY,
    pb.DELETED_ONLY: View.DELETED_ONLY,
    pb.ALL: View.ALL,
}
_STATUSES_OF_RUNS = {number: status for status, number in _RUN_STATUSES.items()}
_STATUSES_OF_MODELS = {number: status for status, number in _MODEL_STATUSES.items()}


@dataclass(frozen=True, slots=True)
class ModelParts:
    """A logged model with the rows of its metrics, params and tags."""

    model: LoggedModel
    metrics: Sequence[Row[Any]]
    """Rows of `latest_model_metric`."""
    params: Sequence[LoggedModelParam]
    tags: Sequence[LoggedModelTag]
    status_message: str | None
    """The files that an import has not brought, if there are any."""


def experiment(row: Experiment, tags: Iterable[ExperimentTag]) -> pb.Experiment:
    return pb.Experiment(
        experiment_id=str(row.experiment_id),
        name=row.name,
        artifact_location=experiment_artifacts(row.experiment_id),
        lifecycle_stage=row.lifecycle_stage,
        creation_time=row.created_ms,
        last_update_time=row.updated_ms,
        tags=[pb.ExperimentTag(key=tag.key, value=tag.value) for tag in tags],
        etag=row.etag,
    )


def run_info(row: Run, now_ms: int) -> pb.RunInfo:
    lost_ms = lost_since_ms(row.status, row.last_heartbeat_ms, now_ms)
    return pb.RunInfo(
        run_id=row.run_id,
        run_uuid=row.run_id,
        experiment_id=str(row.experiment_id),
        run_name=row.name,
        user_id=row.user_id,
        status=_RUN_STATUSES[RunStatus(row.status)],
        start_time=row.start_ms,
        end_time=row.end_ms,
        artifact_uri=run_artifacts(row.experiment_id, row.run_id),
        lifecycle_stage=row.lifecycle_stage,
        last_heartbeat_time=_timestamp(row.last_heartbeat_ms),
        lost_since=_timestamp(lost_ms),
    )


def _timestamp(time_ms: int | None) -> Timestamp | None:
    if time_ms is None:
        return None
    timestamp = Timestamp()
    timestamp.FromMilliseconds(time_ms)
    return timestamp


def run(whole: WholeRun, now_ms: int) -> pb.Run:
    labels: dict[tuple[str, str], list[Row[Any]]] = {}
    for label in whole.labels:
        labels.setdefault((label.dataset_name, label.dataset_digest), []).append(label)
    return pb.Run(
        info=run_info(whole.run, now_ms),
        data=pb.RunData(
            metrics=[latest_metric(row) for row in whole.metrics],
            params=[pb.Param(key=row.key, value=row.value) for row in whole.params],
            tags=[pb.RunTag(key=row.key, value=row.value) for row in whole.tags],
        ),
        inputs=pb.RunInputs(
            dataset_inputs=[
                _dataset_input(row, labels.get((row.dataset_name, row.dataset_digest), ()))
                for row in whole.datasets
            ],
            model_inputs=[pb.ModelInput(model_id=row.model_id) for row in whole.model_inputs],
        ),
        outputs=pb.RunOutputs(
            model_outputs=[
                pb.ModelOutput(model_id=row.model_id, step=row.step) for row in whole.model_outputs
            ]
        ),
        etag=whole.run.etag,
    )


def _dataset_input(used: Row[Any], labels: Iterable[Row[Any]]) -> pb.DatasetInput:
    return pb.DatasetInput(
        dataset=pb.Dataset(
            name=used.dataset_name,
            digest=used.dataset_digest,
            source_type=used.source_type,
            source=used.source,
            schema=used.schema or None,
            profile=used.profile or None,
        ),
        tags=[pb.InputTag(key=label.key, value=label.value) for label in labels],
    )


def latest_metric(row: Row[Any]) -> pb.Metric:
    """Return the latest point of a metric, without its run."""
    return pb.Metric(
        key=row.key,
        value=math.nan if row.is_nan else row.number,
        timestamp=row.timestamp_ms,
        step=row.step,
        model_id=row.model_id or None,
        dataset_name=row.dataset_name or None,
        dataset_digest=row.dataset_digest or None,
    )


def metric_of_model(row: Row[Any]) -> pb.Metric:
    metric = latest_metric(row)
    metric.run_id = row.run_id
    return metric


def logged_model(parts: ModelParts) -> pb.LoggedModel:
    row = parts.model
    return pb.LoggedModel(
        info=pb.LoggedModelInfo(
            model_id=row.model_id,
            experiment_id=str(row.experiment_id),
            name=row.name,
            creation_timestamp_ms=row.created_ms,
            last_updated_timestamp_ms=row.updated_ms,
            artifact_uri=model_artifacts(row.experiment_id, row.model_id),
            status=_MODEL_STATUSES[ModelStatus(row.status)],
            status_message=parts.status_message,
            model_type=row.model_type,
            source_run_id=row.source_run_id or "",
            tags=[pb.LoggedModelTag(key=tag.key, value=tag.value) for tag in parts.tags],
        ),
        data=pb.LoggedModelData(
            params=[pb.LoggedModelParameter(key=p.key, value=p.value) for p in parts.params],
            metrics=[metric_of_model(metric) for metric in parts.metrics],
        ),
    )


def series(curve: Curve, points: Sequence[Point]) -> pb.MetricSeries:
    return pb.MetricSeries(
        key=curve.key,
        model_id=curve.model_id or None,
        dataset_name=curve.dataset_name or None,
        dataset_digest=curve.dataset_digest or None,
        steps=[point.step for point in points],
        timestamps=[point.timestamp_ms for point in points],
        values=[point.value for point in points],
    )


def history_point(key: str, point: HistoryPoint) -> pb.Metric:
    return pb.Metric(
        key=key,
        value=point.value,
        timestamp=point.timestamp_ms,
        step=point.step,
        dataset_name=point.dataset_name or None,
        dataset_digest=point.dataset_digest or None,
    )


def point_of_run(key: str, run_id: str, point: Point | HistoryPoint) -> pb.MetricWithRunId:
    return pb.MetricWithRunId(
        key=key, value=point.value, timestamp=point.timestamp_ms, step=point.step, run_id=run_id
    )


def dataset_summary(row: Row[Any]) -> pb.DatasetSummary:
    return pb.DatasetSummary(
        experiment_id=str(row.experiment_id),
        name=row.name,
        digest=row.digest,
        context=row.context,
    )


def file_info(entry: Entry) -> artifacts.FileInfo:
    is_dir = entry.size_bytes is None
    return artifacts.FileInfo(path=entry.path, is_dir=is_dir, file_size=entry.size_bytes)


def artifact_file(file: ManifestFile) -> artifacts.ArtifactFile:
    return artifacts.ArtifactFile(
        path=file.path,
        size_bytes=file.size_bytes,
        digest=file.digest,
        parts=[
            artifacts.ArtifactPart(digest=part.digest, size_bytes=part.size_bytes)
            for part in file.parts
        ],
    )


def file_of(message: artifacts.ArtifactFile) -> ManifestFile:
    return ManifestFile(
        path=message.path,
        size_bytes=message.size_bytes,
        digest=Digest(message.digest),
        parts=tuple(ManifestPart(Digest(p.digest), p.size_bytes) for p in message.parts),
    )


def view_of(view: pb.ViewType) -> View:
    return _VIEWS.get(view, View.ACTIVE_ONLY)


def run_status_of(status: pb.RunStatus) -> RunStatus | None:
    return _STATUSES_OF_RUNS.get(status)


def required_run_status_of(status: pb.RunStatus) -> RunStatus:
    """Return the status of a request that is known to have one."""
    return _STATUSES_OF_RUNS[status]


def model_status_of(status: pb.LoggedModelStatus) -> ModelStatus:
    """Return the status of a request that is known to have one."""
    return _STATUSES_OF_MODELS[status]


def model_order_of(message: pb.SearchLoggedModelsRequest.OrderBy) -> ModelOrder:
    return ModelOrder(
        message.field_name,
        ascending=message.ascending if message.HasField("ascending") else True,
        dataset=OnDataset(message.dataset_name, message.dataset_digest)
        if message.dataset_name or message.dataset_digest
        else None,
    )


def pairs_of(messages: Iterable[Any], what: str) -> dict[str, str]:
    """Return the values of tags or params by key; refuse a key with two values."""
    return unique(((message.key, message.value) for message in messages), what)


def point_of(message: pb.Metric | pb.LogMetricRequest, now_ms: int) -> RawPoint:
    return RawPoint(
        _curve_of(message),
        message.timestamp if message.HasField("timestamp") else now_ms,
        message.step,
        message.value,
    )


def series_of(message: pb.MetricSeries) -> RawSeries:
    return RawSeries(_curve_of(message), message.timestamps, message.steps, message.values)


def dataset_input_of(message: pb.DatasetInput) -> NewDatasetInput:
    dataset = message.dataset
    return NewDatasetInput(
        name=dataset.name,
        digest=dataset.digest,
        source_type=dataset.source_type,
        source=dataset.source,
        schema=dataset.schema,
        profile=dataset.profile,
        tags=pairs_of(message.tags, "tag"),
    )


def _curve_of(message: pb.Metric | pb.LogMetricRequest | pb.MetricSeries) -> Curve:
    return Curve(message.key, message.model_id, message.dataset_name, message.dataset_digest)
