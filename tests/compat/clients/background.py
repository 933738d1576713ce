"""Background work of the client: asynchronous logging and system metrics; and datasets."""

from __future__ import annotations

import threading

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient


def what_is_logged_asynchronously_arrives() -> None:
    client = MlflowClient()
    with mlflow.start_run() as run:
        run_id = run.info.run_id
        for step in range(200):
            mlflow.log_metric("loss", 1 / (step + 1), step=step, synchronous=False)
        mlflow.log_params({"a": 1, "b": 2}, synchronous=False)
        mlflow.set_tag("c", "3", synchronous=False)
        operation = client.log_batch(run_id, metrics=[Metric("auc", 0.5, 1, 0)], synchronous=False)
        operation.wait()
        assert client.get_run(run_id).data.metrics["auc"] == 0.5
        mlflow.flush_async_logging()
    assert [point.step for point in client.get_metric_history(run_id, "loss")] == list(range(200))
    data = client.get_run(run_id).data
    assert data.params == {"a": "1", "b": "2"}
    assert data.tags["c"] == "3"


def asynchronous_logging_can_be_the_default() -> None:
    mlflow.config.enable_async_logging()
    try:
        with mlflow.start_run() as run:
            mlflow.log_metric("loss", 1)
            mlflow.log_param("a", 1)
    finally:
        mlflow.config.enable_async_logging(False)  # noqa: FBT003 - as users write it
    data = mlflow.get_run(run.info.run_id).data
    assert (data.metrics, data.params) == ({"loss": 1.0}, {"a": "1"})


def datasets_are_inputs_of_runs() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    train = mlflow.data.from_pandas(frame, source="train.csv", name="train", targets="y")
    test = mlflow.data.from_numpy(np.zeros((2, 3)), name="test")
    with mlflow.start_run() as run:
        mlflow.log_input(train, context="training", tags={"fold": "1"})
        mlflow.log_input(test, context="evaluation")
        mlflow.log_input(train, context="training")
    client = MlflowClient()
    inputs = client.get_run(run.info.run_id).inputs.dataset_inputs
    assert {entry.dataset.name: entry.dataset.digest for entry in inputs} == {
        "train": train.digest,
        "test": test.digest,
    }
    (entry,) = (entry for entry in inputs if entry.dataset.name == "train")
    assert {tag.key: tag.value for tag in entry.tags}["mlflow.data.context"] == "training"
    source = mlflow.data.get_source(entry.dataset)
    assert source.to_dict()["uri"].endswith("train.csv")
    experiment_id = run.info.experiment_id
    for condition in (
        "datasets.name = 'train'",
        "dataset.name LIKE 'tr%'",
        "datasets.context = 'evaluation'",
        f"datasets.digest = '{test.digest}'",
        "datasets.name IN ('train', 'other')",
    ):
        found = client.search_runs([experiment_id], condition)
        assert [one.info.run_id for one in found] == [run.info.run_id], condition
    assert client.search_runs([experiment_id], "datasets.name = 'nothing'") == []


def system_metrics_are_logged() -> None:
    mlflow.set_system_metrics_sampling_interval(0.05)
    mlflow.set_system_metrics_samples_before_logging(1)
    with mlflow.start_run(log_system_metrics=True) as run:
        client = MlflowClient()
        while (
            "system/cpu_utilization_percentage" not in client.get_run(run.info.run_id).data.metrics
        ):
            threading.Event().wait(0.05)
    mlflow.set_system_metrics_sampling_interval(None)
    metrics = mlflow.get_run(run.info.run_id).data.metrics
    assert metrics["system/system_memory_usage_megabytes"] > 0
