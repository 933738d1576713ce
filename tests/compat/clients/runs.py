"""Runs: logged data is read back and found by searches."""

from __future__ import annotations

import math
import time
from uuid import uuid4

import mlflow
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.tracking import MlflowClient
from tests.compat.clients.refusals import refused


def params_metrics_and_tags_are_read_back() -> None:
    with mlflow.start_run(run_name="everything", description="what it is", tags={"a": "1"}) as run:
        mlflow.log_param("depth", 3)
        mlflow.log_params({"rate": 0.5, "none": None, "flag": True})
        mlflow.log_metric("loss", 0.25)
        mlflow.log_metrics({"auc": 0.5, "f1": 1}, step=3)
        mlflow.set_tag("b", 2)
        mlflow.set_tags({"c": "3", "d.e/f": "nested key"})
    found = mlflow.get_run(run.info.run_id)
    assert found.data.params == {"depth": "3", "rate": "0.5", "none": "None", "flag": "True"}
    assert found.data.metrics == {"loss": 0.25, "auc": 0.5, "f1": 1.0}
    tags = found.data.tags
    assert (tags["a"], tags["b"], tags["c"], tags["d.e/f"]) == ("1", "2", "3", "nested key")
    assert tags["mlflow.note.content"] == "what it is"
    assert (found.info.run_name, tags["mlflow.runName"]) == ("everything", "everything")
    assert found.info.status == "FINISHED"
    assert found.info.start_time <= found.info.end_time
    assert found.info.lifecycle_stage == "active"


def nan_and_infinity_are_kept() -> None:
    client = MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_metric("nan", math.nan)
        mlflow.log_metrics({"up": math.inf, "down": -math.inf})
    metrics = client.get_run(run.info.run_id).data.metrics
    assert math.isnan(metrics["nan"])
    # MLflow's own server keeps the largest finite number instead.
    assert metrics["up"] >= 1.7976931348623157e308
    assert metrics["down"] <= -1.7976931348623157e308
    assert math.isnan(client.get_metric_history(run.info.run_id, "nan")[0].value)


def nested_runs_know_their_parent() -> None:
    with mlflow.start_run() as parent:
        with mlflow.start_run(nested=True) as child, mlflow.start_run(nested=True) as grandchild:
            mlflow.log_metric("depth", 2)
        assert mlflow.active_run().info.run_id == parent.info.run_id
    assert mlflow.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id
    assert mlflow.get_parent_run(grandchild.info.run_id).info.run_id == child.info.run_id
    assert mlflow.get_parent_run(parent.info.run_id) is None
    children = MlflowClient().search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    assert [run.info.run_id for run in children] == [child.info.run_id]


def a_run_that_raises_is_failed_and_can_be_resumed() -> None:
    try:
        with mlflow.start_run() as run:
            raise ZeroDivisionError  # noqa: TRY301 - what the script is about
    except ZeroDivisionError:
        pass
    assert mlflow.get_run(run.info.run_id).info.status == "FAILED"
    with mlflow.start_run(run_id=run.info.run_id):
        assert mlflow.get_run(run.info.run_id).info.status == "RUNNING"
        mlflow.log_param("resumed", 1)
    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"


def a_batch_is_logged_whole() -> None:
    client = MlflowClient()
    run_id = mlflow.start_run().info.run_id
    now = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric("loss", 1 / (step + 1), now + step, step) for step in range(2500)],
        params=[Param(f"p{number}", str(number)) for number in range(250)],
        tags=[RunTag(f"t{number}", str(number)) for number in range(250)],
    )
    found = client.get_run(run_id).data
    assert found.metrics == {"loss": 1 / 2500}
    assert found.params == {f"p{number}": str(number) for number in range(250)}
    assert found.tags["t249"] == "249"
    history = client.get_metric_history(run_id, "loss")
    assert [point.step for point in history] == list(range(2500))
    assert [point.timestamp for point in history] == [now + step for step in range(2500)]
    assert history[3].value == 0.25
    assert client.get_metric_history(run_id, "no such metric") == []


def the_latest_point_is_that_of_the_greatest_step() -> None:
    client = MlflowClient()
    run_id = mlflow.start_run().info.run_id
    for step, value in ((0, 1.0), (5, 2.0), (-3, 3.0)):
        client.log_metric(run_id, "loss", value, step=step)
    assert client.get_run(run_id).data.metrics == {"loss": 2.0}
    assert len(client.get_metric_history(run_id, "loss")) == 3


def a_param_is_written_once() -> None:
    client = MlflowClient()
    run_id = mlflow.start_run().info.run_id
    client.log_param(run_id, "depth", 3)
    client.log_param(run_id, "depth", 3)
    error = refused(lambda: client.log_param(run_id, "depth", 4))
    assert error.error_code == "INVALID_PARAMETER_VALUE"
    assert "Changing param values is not allowed" in error.message
    assert client.get_run(run_id).data.params == {"depth": "3"}
    client.log_param(run_id, "prompt", "x" * 7000)
    client.log_param(run_id, "prompt", "x" * 7000)
    assert len(client.get_run(run_id).data.params["prompt"]) == 6000


def tags_are_deleted_and_names_are_updated() -> None:
    client = MlflowClient()
    run_id = mlflow.start_run().info.run_id
    client.set_tag(run_id, "a", "1")
    client.delete_tag(run_id, "a")
    assert "a" not in client.get_run(run_id).data.tags
    assert refused(lambda: client.delete_tag(run_id, "a")).error_code == "RESOURCE_DOES_NOT_EXIST"
    client.update_run(run_id, status="KILLED", name="renamed")
    info = client.get_run(run_id).info
    assert (info.status, info.run_name) == ("KILLED", "renamed")
    client.set_terminated(run_id, "FAILED", end_time=2_000_000_000_000)
    info = client.get_run(run_id).info
    assert (info.status, info.end_time) == ("FAILED", 2_000_000_000_000)


def a_deleted_run_is_hidden_and_restored() -> None:
    client = MlflowClient()
    experiment_id = client.create_experiment(f"deleting {uuid4().hex}")
    run_id = client.create_run(experiment_id).info.run_id
    client.delete_run(run_id)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert client.search_runs([experiment_id]) == []
    deleted = client.search_runs([experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert [run.info.run_id for run in deleted] == [run_id]
    refused(lambda: client.log_metric(run_id, "late", 1))
    client.restore_run(run_id)
    assert [run.info.run_id for run in client.search_runs([experiment_id])] == [run_id]
    assert refused(lambda: client.get_run("0" * 32)).error_code == "RESOURCE_DOES_NOT_EXIST"
