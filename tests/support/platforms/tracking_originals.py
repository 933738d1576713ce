"""Entities of another server as messages, and helpers for the calls that import them."""

from __future__ import annotations

from typing import Any

from tests.support.platforms.tracking_service import Tracking

from modelyard.api.tracking.v1 import tracking_pb2 as pb

ORIGIN = "http://mlflow.test"
RUN = "a" * 32
MODEL = "m-" + "b" * 32


def experiment(number: str = "7", name: str = "iris", **fields: Any) -> pb.Experiment:
    values = {"lifecycle_stage": "active", "creation_time": 1000, "last_update_time": 2000}
    return pb.Experiment(experiment_id=number, name=name, **{**values, **fields})


def run(run_id: str = RUN, experiment_id: str = "0", **info: Any) -> pb.Run:
    values: dict[str, Any] = {
        "run_name": "first",
        "user_id": "ada",
        "status": pb.FINISHED,
        "start_time": 1000,
        "end_time": 2000,
        "lifecycle_stage": "active",
    }
    identity = {"run_id": run_id, "experiment_id": experiment_id}
    return pb.Run(
        info=pb.RunInfo(**{**identity, **values, **info}),
        data=pb.RunData(
            params=[pb.Param(key="depth", value="3")], tags=[pb.RunTag(key="team", value="x")]
        ),
    )


def model(model_id: str = MODEL, experiment_id: str = "0", **info: Any) -> pb.LoggedModel:
    values: dict[str, Any] = {
        "name": "forest",
        "model_type": "classifier",
        "status": pb.LOGGED_MODEL_READY,
        "creation_timestamp_ms": 1000,
        "last_updated_timestamp_ms": 2000,
        "tags": [pb.LoggedModelTag(key="team", value="x")],
    }
    identity = {"model_id": model_id, "experiment_id": experiment_id}
    return pb.LoggedModel(
        info=pb.LoggedModelInfo(**{**identity, **values, **info}),
        data=pb.LoggedModelData(params=[pb.LoggedModelParameter(key="depth", value="3")]),
    )


def import_experiment(
    tracking: Tracking, message: pb.Experiment, origin: str = ORIGIN
) -> tuple[str, bool]:
    request = pb.ImportExperimentRequest(origin=origin, experiment=message)
    reply = tracking.rpc.ImportExperiment(request)
    return reply.experiment_id, reply.created


def import_run(tracking: Tracking, message: pb.Run, origin: str = ORIGIN) -> tuple[str, bool]:
    reply = tracking.rpc.ImportRun(pb.ImportRunRequest(origin=origin, run=message))
    return reply.run_id, reply.created


def import_model(
    tracking: Tracking, message: pb.LoggedModel, origin: str = ORIGIN
) -> tuple[str, bool]:
    reply = tracking.rpc.ImportLoggedModel(
        pb.ImportLoggedModelRequest(origin=origin, model=message)
    )
    return reply.model_id, reply.created


def get_experiment(tracking: Tracking, number: str) -> pb.Experiment:
    request = pb.GetExperimentRequest(experiment_id=number)
    found: pb.Experiment = tracking.rpc.GetExperiment(request).experiment
    return found


def get_model(tracking: Tracking, model_id: str) -> pb.LoggedModel:
    found: pb.LoggedModel = tracking.rpc.GetLoggedModel(
        pb.GetLoggedModelRequest(model_id=model_id)
    ).model
    return found


def create_experiment(tracking: Tracking, name: str) -> str:
    reply = tracking.rpc.CreateExperiment(pb.CreateExperimentRequest(name=name))
    return str(reply.experiment_id)


def stage_of(tracking: Tracking, run_id: str) -> str:
    return str(tracking.get_run(run_id).info.lifecycle_stage)


def restore(tracking: Tracking, number: str) -> None:
    tracking.rpc.RestoreExperiment(pb.RestoreExperimentRequest(experiment_id=number))


def everything(tracking: Tracking) -> tuple[list[pb.Experiment], list[pb.Run]]:
    experiments = tracking.rpc.SearchExperiments(pb.SearchExperimentsRequest(view_type=pb.ALL))
    ids = [found.experiment_id for found in experiments.experiments]
    runs = tracking.rpc.SearchRuns(pb.SearchRunsRequest(experiment_ids=ids, run_view_type=pb.ALL))
    return list(experiments.experiments), list(runs.runs)
