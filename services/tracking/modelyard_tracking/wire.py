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
)
from modelyard_tracking.operations.history import HistoryPoint
from modelyard_tracking.operations.inputs import NewDatasetInput
from modelyard_tracking.operations.levels import Entry
from modelyard_tracking.operations.whole_runs import WholeRun
from modelyard_tracking.rules.heartbeats import lost_since_ms
from modelyard_tracking.rules.points import Columns, Curve, Point, RawPoint
from modelyard_tracking.rules.states import ModelStatus, RunStatus, View
from modelyard_tracking.rules.values import (
    experiment_artifacts,
    model_artifacts,
    run_artifacts,
    unique,
)
from modelyard_tracking.search.logged_models import ModelOrder, OnDataset
from modelyard_tracking.statements.logged import DatasetRow, LabelRow
from modelyard_tracking.statements.runs import RunRow

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


def run_info(row: RunRow, now_ms: int) -> pb.RunInfo:
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


def fill_run(message: pb.Run, whole: WholeRun, now_ms: int) -> None:
    """Fill the message of a run in its reply, which is faster than to copy it there."""
    message.info.CopyFrom(run_info(whole.run, now_ms))
    message.etag = whole.run.etag
    for part in (message.data, message.inputs, message.outputs):
        part.SetInParent()
    add_metric = message.data.metrics.add
    for _, key, value, timestamp_ms, step, model_id, name, digest in whole.metrics:
        number = math.nan if value is None else value
        metric = add_metric(key=key, value=number, timestamp=timestamp_ms, step=step)
        if model_id or name:
            _set_origin(metric, model_id, name, digest)
    add_param = message.data.params.add
    for _, key, text in whole.params:
        add_param(key=key, value=text)
    add_tag = message.data.tags.add
    for _, key, text in whole.tags:
        add_tag(key=key, value=text)
    for dataset in whole.datasets:
        _add_dataset(message.inputs, dataset, whole.labels)
    for _, model_id in whole.model_inputs:
        message.inputs.model_inputs.add(model_id=model_id)
    for _, model_id, step in whole.model_outputs:
        message.outputs.model_outputs.add(model_id=model_id, step=step)


def _add_dataset(inputs: pb.RunInputs, used: DatasetRow, labels: Iterable[LabelRow]) -> None:
    _, name, digest, source_type, source, schema, profile = used
    inputs.dataset_inputs.add(
        dataset=pb.Dataset(
            name=name,
            digest=digest,
            source_type=source_type,
            source=source,
            schema=schema or None,
            profile=profile or None,
        ),
        tags=[
            pb.InputTag(key=key, value=value)
            for _, *labelled, key, value in labels
            if labelled == [name, digest]
        ],
    )


def _set_origin(metric: pb.Metric, model_id: str, dataset_name: str, dataset_digest: str) -> None:
    if model_id:
        metric.model_id = model_id
    if dataset_name:
        metric.dataset_name = dataset_name
    if dataset_digest:
        metric.dataset_digest = dataset_digest


def metric_of_model(row: Row[Any]) -> pb.Metric:
    """Return the latest point of a metric of a logged model."""
    metric = pb.Metric(
        key=row.key,
        value=math.nan if row.is_nan else row.value,
        timestamp=row.timestamp_ms,
        step=row.step,
        run_id=row.run_id,
    )
    _set_origin(metric, row.model_id, row.dataset_name, row.dataset_digest)
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
    timestamp_ms = message.timestamp
    if not timestamp_ms and not message.HasField("timestamp"):
        timestamp_ms = now_ms
    return _curve_of(message), timestamp_ms, message.step, message.value


def series_of(message: pb.MetricSeries) -> tuple[Curve, Columns]:
    """Return the unchecked points of a series."""
    return _curve_of(message), Columns.of(message.steps, message.timestamps, message.values)


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
