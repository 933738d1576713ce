"""Runs with something of every kind that can be logged."""

from __future__ import annotations

from tests.support.platforms.swept_platform import Platform

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.tracking.v1 import tracking_pb2 as pb

DATASET = pb.Dataset(name="iris", digest="d", source_type="local", source="s")
ONE, TWO = b"one", b"two"
"""Bytes of the file of a run, and of its logged model."""


def experiment(platform: Platform, name: str) -> str:
    tags = [pb.ExperimentTag(key="team", value="x")]
    request = pb.CreateExperimentRequest(name=name, tags=tags)
    return str(platform.tracking.rpc.CreateExperiment(request).experiment_id)


def full_run(platform: Platform, experiment_id: str = "0") -> tuple[str, str]:
    """Log something of every kind in a run; return its id and that of its logged model."""
    tracking = platform.tracking
    run_id = tracking.create_run(experiment_id, tags=[pb.RunTag(key="k", value="v")])
    created = tracking.rpc.CreateLoggedModel(
        pb.CreateLoggedModelRequest(
            experiment_id=experiment_id,
            name="model",
            source_run_id=run_id,
            params=[pb.LoggedModelParameter(key="p", value="1")],
            tags=[pb.LoggedModelTag(key="t", value="2")],
        )
    )
    model_id = str(created.model.info.model_id)
    tracking.finalize(model_id)
    tracking.rpc.LogParam(pb.LogParamRequest(run_id=run_id, key="depth", value="3"))
    log_metric(platform, run_id, model_id, 0.5)
    tracking.rpc.LogInputs(
        pb.LogInputsRequest(
            run_id=run_id,
            datasets=[
                pb.DatasetInput(dataset=DATASET, tags=[pb.InputTag(key="use", value="train")])
            ],
            models=[pb.ModelInput(model_id=model_id)],
        )
    )
    outputs = [pb.ModelOutput(model_id=model_id, step=1)]
    tracking.rpc.LogOutputs(pb.LogOutputsRequest(run_id=run_id, models=outputs))
    tracking.log_files({"a.txt": ONE}, run_id=run_id)
    tracking.log_files({"MLmodel": TWO}, model_id=model_id)
    for owner in ({"run_id": run_id}, {"model_id": model_id}):
        missing = [artifacts.MissingFile(path="lost", reason="out of reach")]
        request = artifacts.SetMissingArtifactsRequest(files=missing, **owner)
        tracking.artifacts.SetMissingArtifacts(request)
    return run_id, model_id


def log_metric(platform: Platform, run_id: str, model_id: str, value: float, step: int = 1) -> None:
    request = pb.LogMetricRequest(
        run_id=run_id, key="loss", value=value, step=step, timestamp=1, model_id=model_id
    )
    platform.tracking.rpc.LogMetric(request)
