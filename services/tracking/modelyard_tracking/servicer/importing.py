from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.clock import Clock
from modelyard_kit.db.base import Database
from modelyard_kit.keys import checked_key
from modelyard_kit.rpc.calls import Call, writes
from modelyard_kit.rpc.fields import given, require
from modelyard_tracking import wire
from modelyard_tracking.operations import importing
from modelyard_tracking.operations.importing import (
    OriginalExperiment,
    OriginalModel,
    OriginalRun,
)
from modelyard_tracking.rules.states import Lifecycle
from modelyard_tracking.rules.values import checked_model_id, checked_run_id


class Importing:
    """RPCs that import resources of another server."""

    database: Database
    clock: Clock

    @writes
    def ImportExperiment(
        self, request: pb.ImportExperimentRequest, call: Call
    ) -> pb.ImportExperimentResponse:
        experiment, created = importing.import_experiment(
            call.session, request.origin, _experiment(request.experiment), call.now_ms
        )
        return pb.ImportExperimentResponse(
            experiment_id=str(experiment.experiment_id), created=created
        )

    @writes
    def ImportRun(self, request: pb.ImportRunRequest, call: Call) -> pb.ImportRunResponse:
        run, created = importing.import_run(
            call.session, request.origin, _run(request.run), call.now_ms
        )
        return pb.ImportRunResponse(run_id=run.run_id, created=created)

    @writes
    def ImportLoggedModel(
        self, request: pb.ImportLoggedModelRequest, call: Call
    ) -> pb.ImportLoggedModelResponse:
        model, created = importing.import_logged_model(
            call.session, request.origin, _model(request.model)
        )
        return pb.ImportLoggedModelResponse(model_id=model.model_id, created=created)


def _experiment(message: pb.Experiment) -> OriginalExperiment:
    require(message, "experiment.", "experiment_id", "name", "lifecycle_stage")
    return OriginalExperiment(
        experiment_id=message.experiment_id,
        name=message.name,
        lifecycle_stage=Lifecycle(message.lifecycle_stage),
        created_ms=given(message, "creation_time"),
        updated_ms=given(message, "last_update_time"),
        tags=_pairs(message.tags, "tag", "experiment.tags"),
    )


def _run(message: pb.Run) -> OriginalRun:
    info = message.info
    required = ("run_id", "experiment_id", "status", "start_time", "lifecycle_stage")
    require(info, "run.info.", *required)
    return OriginalRun(
        run_id=info.run_id,
        experiment_id=info.experiment_id,
        name=info.run_name,
        user_id=info.user_id,
        status=wire.required_run_status_of(info.status),
        start_ms=info.start_time,
        end_ms=given(info, "end_time"),
        lifecycle_stage=Lifecycle(info.lifecycle_stage),
        params=_pairs(message.data.params, "param", "run.data.params"),
        tags=_pairs(message.data.tags, "tag", "run.data.tags"),
        datasets=[wire.dataset_input_of(used) for used in message.inputs.dataset_inputs],
        model_inputs=[checked_model_id(used.model_id) for used in message.inputs.model_inputs],
        model_outputs=[
            (checked_model_id(made.model_id), made.step) for made in message.outputs.model_outputs
        ],
    )


def _model(message: pb.LoggedModel) -> OriginalModel:
    info = message.info
    required = ("model_id", "experiment_id", "name", "status", "creation_timestamp_ms")
    require(info, "model.info.", *required)
    created_ms = info.creation_timestamp_ms
    return OriginalModel(
        model_id=info.model_id,
        experiment_id=info.experiment_id,
        name=info.name,
        model_type=info.model_type,
        source_run_id=checked_run_id(info.source_run_id) if info.source_run_id else None,
        status=wire.model_status_of(info.status),
        created_ms=created_ms,
        updated_ms=given(info, "last_updated_timestamp_ms", created_ms),
        params=_pairs(message.data.params, "param", "model.data.params"),
        tags=_pairs(info.tags, "tag", "model.info.tags"),
    )


def _pairs(messages: Iterable[Any], what: str, where: str) -> dict[str, str]:
    pairs = wire.pairs_of(messages, what)
    for index, message in enumerate(messages):
        checked_key(message.key, f"{where}[{index}].key")
    return pairs
