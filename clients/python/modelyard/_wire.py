"""Converts messages to entities."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard.entities import (
    Dataset,
    DatasetInput,
    Erasure,
    Experiment,
    FileInfo,
    InputTag,
    LoggedModel,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    RemainingObject,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
)
from modelyard.entities.model_registry import (
    Deletion,
    ModelEvent,
    ModelVersion,
    RegisteredModel,
    ReleasedVersion,
    ResolvedModel,
)

_LOGGED_MODEL_STATUS = {
    tracking_pb2.LOGGED_MODEL_STATUS_UNSPECIFIED: LoggedModelStatus.UNSPECIFIED,
    tracking_pb2.LOGGED_MODEL_PENDING: LoggedModelStatus.PENDING,
    tracking_pb2.LOGGED_MODEL_READY: LoggedModelStatus.READY,
    tracking_pb2.LOGGED_MODEL_UPLOAD_FAILED: LoggedModelStatus.FAILED,
}


def by_key(pairs: Any) -> dict[str, Any]:
    """Return repeated messages with `key` and `value` as a dict."""
    return {pair.key: pair.value for pair in pairs}


def experiment(message: tracking_pb2.Experiment) -> Experiment:
    return Experiment(
        experiment_id=message.experiment_id,
        name=message.name,
        artifact_location=message.artifact_location,
        lifecycle_stage=message.lifecycle_stage,
        tags=by_key(message.tags),
        creation_time=message.creation_time,
        last_update_time=message.last_update_time,
        etag=message.etag,
    )


def run_info(message: tracking_pb2.RunInfo) -> RunInfo:
    return RunInfo(
        run_id=message.run_id,
        experiment_id=message.experiment_id,
        user_id=message.user_id,
        status=tracking_pb2.RunStatus.Name(message.status),
        start_time=message.start_time,
        end_time=message.end_time if message.HasField("end_time") else None,
        lifecycle_stage=message.lifecycle_stage,
        artifact_uri=message.artifact_uri,
        run_name=message.run_name,
        last_heartbeat_time=_time_ms(message, "last_heartbeat_time"),
        lost_since=_time_ms(message, "lost_since"),
    )


def _time_ms(message: Any, field: str) -> int | None:
    return getattr(message, field).ToMilliseconds() if message.HasField(field) else None


def run(message: tracking_pb2.Run) -> Run:
    """Return a run whose attributes are made when they are first read.

    Until then it holds its own bytes, which are smaller than the attributes: a part of a message
    would keep the whole page of runs in memory.
    """
    return Run.later(partial(_part_of_run, message.SerializeToString()))


def _part_of_run(data: bytes, name: str) -> Any:
    return _PARTS_OF_RUN[name](tracking_pb2.Run.FromString(data))


def _run_data(message: tracking_pb2.Run) -> RunData:
    return RunData(
        metrics=by_key(message.data.metrics),
        params=by_key(message.data.params),
        tags=by_key(message.data.tags),
    )


def _run_inputs(message: tracking_pb2.Run) -> RunInputs:
    return RunInputs(
        dataset_inputs=[_dataset_input(item) for item in message.inputs.dataset_inputs],
        model_inputs=[LoggedModelInput(item.model_id) for item in message.inputs.model_inputs],
    )


def _run_outputs(message: tracking_pb2.Run) -> RunOutputs:
    return RunOutputs(
        [LoggedModelOutput(item.model_id, item.step) for item in message.outputs.model_outputs]
    )


_PARTS_OF_RUN: dict[str, Callable[[tracking_pb2.Run], Any]] = {
    "info": lambda message: run_info(message.info),
    "data": _run_data,
    "inputs": _run_inputs,
    "outputs": _run_outputs,
    "etag": lambda message: message.etag,
}


def _dataset_input(message: tracking_pb2.DatasetInput) -> DatasetInput:
    dataset = message.dataset
    return DatasetInput(
        dataset=Dataset(
            name=dataset.name,
            digest=dataset.digest,
            source_type=dataset.source_type,
            source=dataset.source,
            schema=dataset.schema or None,
            profile=dataset.profile or None,
        ),
        tags=[InputTag(tag.key, tag.value) for tag in message.tags],
    )


def metric(message: tracking_pb2.Metric) -> Metric:
    return Metric(
        key=message.key,
        value=message.value,
        timestamp=message.timestamp,
        step=message.step,
        model_id=message.model_id or None,
        dataset_name=message.dataset_name or None,
        dataset_digest=message.dataset_digest or None,
        run_id=message.run_id or None,
    )


def logged_model(message: tracking_pb2.LoggedModel) -> LoggedModel:
    info = message.info
    return LoggedModel(
        experiment_id=info.experiment_id,
        model_id=info.model_id,
        name=info.name,
        artifact_location=info.artifact_uri,
        creation_timestamp=info.creation_timestamp_ms,
        last_updated_timestamp=info.last_updated_timestamp_ms,
        model_type=info.model_type or None,
        source_run_id=info.source_run_id or None,
        status=_LOGGED_MODEL_STATUS[info.status],
        status_message=info.status_message or None,
        tags=by_key(info.tags),
        params=by_key(message.data.params),
        metrics=[metric(item) for item in message.data.metrics],
        registrations=[(item.name, item.version) for item in info.registrations],
    )


def file_info(message: artifacts_pb2.FileInfo) -> FileInfo:
    return FileInfo(message.path, message.is_dir, None if message.is_dir else message.file_size)


def model_version(message: registry_pb2.ModelVersion) -> ModelVersion:
    return ModelVersion(
        name=message.name,
        version=message.version,
        creation_timestamp=message.creation_timestamp,
        last_updated_timestamp=message.last_updated_timestamp,
        description=message.description,
        user_id=message.user_id,
        current_stage=message.current_stage,
        source=message.source,
        run_id=message.run_id,
        status=registry_pb2.ModelVersionStatus.Name(message.status),
        status_message=message.status_message,
        tags=by_key(message.tags),
        run_link=message.run_link,
        aliases=list(message.aliases),
        model_id=message.model_id,
        experiment_id=message.experiment_id,
        digest=message.digest,
        verified=message.verified,
        has_model=message.has_model if message.HasField("has_model") else None,
        unverified_reason=message.unverified_reason,
        damage=message.damage,
        etag=message.etag,
    )


def registered_model(message: registry_pb2.RegisteredModel) -> RegisteredModel:
    return RegisteredModel(
        name=message.name,
        creation_timestamp=message.creation_timestamp,
        last_updated_timestamp=message.last_updated_timestamp,
        description=message.description,
        latest_versions=[model_version(item) for item in message.latest_versions],
        tags=by_key(message.tags),
        aliases={item.alias: item.version for item in message.aliases},
        user_id=message.user_id,
        deployment_job_id=message.deployment_job_id,
        etag=message.etag,
        revision=message.revision,
        deletion_protection=message.deletion_protection,
    )


def model_event(message: registry_pb2.ModelEvent) -> ModelEvent:
    return ModelEvent(
        name=message.name,
        revision=message.revision,
        timestamp=message.create_time.ToMilliseconds(),
        actor=message.actor,
        action=registry_pb2.ModelEvent.Action.Name(message.action),
        version=message.version,
        before=message.before,
        after=message.after,
        comment=message.comment,
        request_id=message.request_id,
        previous_hash=message.previous_hash,
        hash=message.hash,
    )


def deletion(
    message: registry_pb2.DeleteRegisteredModelResponse | registry_pb2.DeleteModelVersionResponse,
) -> Deletion:
    released = [
        ReleasedVersion(item.version, item.stage, list(item.aliases)) for item in message.released
    ]
    return Deletion(released, list(message.endpoints))


def resolved_model(uri: str, message: registry_pb2.ResolveModelResponse) -> ResolvedModel:
    has_version = message.HasField("model_version")
    return ResolvedModel(
        uri=uri,
        digest=message.digest,
        version=model_version(message.model_version) if has_version else None,
        run_id=message.run_id,
        model_id=message.model_id,
        experiment_id=message.experiment_id,
        revision=message.revision,
    )


def erasure(message: artifacts_pb2.EraseDataResponse) -> Erasure:
    return Erasure(
        entries=message.entries,
        files=message.files,
        files_bytes=message.files_bytes,
        removed=[item.digest for item in message.removed],
        remaining=[_remaining(item) for item in message.remaining],
        unexamined_objects=message.unexamined_objects,
    )


def _remaining(message: artifacts_pb2.RemainingObject) -> RemainingObject:
    is_timed = message.HasField("removable_time")
    return RemainingObject(
        digest=message.digest,
        size_bytes=message.size_bytes,
        versions=[f"models:/{pin.name}/{pin.version}" for pin in message.versions],
        files=[
            f"runs:/{file.run_id}/{file.path}"
            if file.run_id
            else f"models:/{file.model_id}/{file.path}"
            for file in message.files
        ],
        removable_time=message.removable_time.ToMilliseconds() if is_timed else None,
    )
