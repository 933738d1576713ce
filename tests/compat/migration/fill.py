"""Fills an MLflow server with an example of every kind of data that is migrated."""

from __future__ import annotations

import math
import time
from typing import Any

import mlflow
import numpy as np
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

IS_3 = int(mlflow.__version__.partition(".")[0]) >= 3
POINTS = [(0.5, 0), (0.25, 1), (math.nan, 2), (math.inf, 3), (-1.0, -5), (1e-300, 2**40)]


def main() -> None:
    client = MlflowClient()
    iris = client.create_experiment("iris", tags={"team": "growth ü"})
    old = client.create_experiment("old")
    parent = begin(client, iris, "parent")
    batch: dict[str, Any] = {
        "metrics": [Metric("loss", value, 1000 + step % 7, step) for value, step in POINTS],
        "params": [Param("depth", "3"), Param("long", "x" * 6000), Param("empty", "")],
        "tags": [RunTag("mlflow.note.content", "a note"), RunTag("path/like key", "v")],
    }
    client.log_batch(parent, **batch)
    data = mlflow.data.from_numpy(np.arange(6.0).reshape(2, 3), name="six")
    with mlflow.start_run(run_id=parent):
        mlflow.log_input(data, context="train")
        mlflow.log_text("hello", "notes/hällo.txt")
        mlflow.log_text("", "empty.txt")
    child = begin(client, iris, "child", **{"mlflow.parentRunId": parent})
    source = fill_child(client, iris, parent, child, data)
    end(client, parent, "FINISHED")
    end(client, child, "FAILED")
    for experiment_id, name in ((iris, "deleted run"), (old, "run of a deleted experiment")):
        run_id = begin(client, experiment_id, name)
        client.log_metric(run_id, "m", 2.0, timestamp=5, step=1)
        client.log_text(run_id, "bye", "bye.txt")
        end(client, run_id, "KILLED")
        if experiment_id == iris:
            client.delete_run(run_id)
    client.delete_experiment(old)
    register(client, child, source)


def begin(client: MlflowClient, experiment_id: str, name: str, **tags: str) -> str:
    time.sleep(0.002)  # so that runs start at different times and have a definite order
    run_id: str = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
    return run_id


def end(client: MlflowClient, run_id: str, status: str) -> None:
    client.set_terminated(run_id, status)


def fill_child(
    client: MlflowClient, iris: str, parent: str, child: str, data: Any
) -> dict[str, Any]:
    """Return the source of a version of the child's model."""
    client.log_metric(child, "accuracy", 0.9, timestamp=10, step=1)
    if not IS_3:
        client.log_text(child, "flavors: {}\n", "model/MLmodel")
        client.log_text(child, "bytes", "model/data/model.bin")
        uri = client.get_run(child).info.artifact_uri
        return {"source": f"{uri}/model", "run_id": child}
    models = [
        client.create_logged_model(
            iris, name, source_run_id=child, tags={"t": name}, params={"p": "1"}
        )
        for name in ("model", "second")
    ]
    for model in models:
        with mlflow.start_run(run_id=child):
            mlflow.log_metric(
                "f1", 0.7, step=2, timestamp=20, model_id=model.model_id, dataset=data
            )
            mlflow.log_metric("f1", 0.8, step=3, timestamp=30, model_id=model.model_id)
        log_files(client, model.model_id)
        client.finalize_logged_model(model.model_id, "READY")
    read = [mlflow.entities.LoggedModelInput(models[1].model_id)]
    client.log_inputs(parent, models=read)
    outputs = [mlflow.entities.LoggedModelOutput(model.model_id, 7) for model in models]
    client.log_outputs(child, outputs)
    model_id = models[0].model_id
    return {"source": f"models:/{model_id}", "run_id": child, "model_id": model_id}


def log_files(client: MlflowClient, model_id: str) -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "data").mkdir()
        Path(folder, "MLmodel").write_text(f"model_id: {model_id}\nflavors: {{}}\n")
        Path(folder, "data", "model.bin").write_bytes(b"bytes")
        client.log_model_artifacts(model_id, folder)


def register(client: MlflowClient, run_id: str, source: dict[str, Any]) -> None:
    client.create_registered_model("flower", {"owner": "ann"}, "Finds flowers")
    for number in range(1, 6):
        tags = {"n": str(number)}
        client.create_model_version("flower", tags=tags, description=f"v{number}", **source)
    client.delete_model_version("flower", "2")
    for number, stage in ((1, "Production"), (3, "Production"), (4, "Staging"), (5, "Archived")):
        client.transition_model_version_stage("flower", str(number), stage)
    client.set_registered_model_alias("flower", "champion", "3")
    client.set_registered_model_alias("flower", "first", "1")
    client.set_registered_model_alias("flower", "2024", "4")  # a number: not one of ours
    client.copy_model_version("models:/flower/3", "copy of flower")
    client.create_registered_model("elsewhere")
    client.create_model_version("elsewhere", "s3://somewhere/else", run_id)


if __name__ == "__main__":
    main()
