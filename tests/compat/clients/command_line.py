"""The commands of `mlflow` that talk to a server."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from uuid import uuid4

import mlflow
from click.testing import CliRunner
from mlflow.cli import cli
from mlflow.tracking import MlflowClient


def _mlflow(*words: str) -> str:
    ended = CliRunner().invoke(cli, list(words))
    assert ended.exit_code == 0, f"mlflow {' '.join(words)}: {ended.output} {ended.exception!r}"
    return str(ended.output)


def experiments_are_managed() -> None:
    client = MlflowClient()
    name = f"by command {uuid4().hex}"
    _mlflow("experiments", "create", "-n", name)
    found = client.get_experiment_by_name(name)
    assert found is not None
    experiment_id = found.experiment_id
    assert name in _mlflow("experiments", "search")
    _mlflow("experiments", "rename", "-x", experiment_id, "--new-name", f"new {name}")
    assert client.get_experiment(experiment_id).name == f"new {name}"
    _mlflow("experiments", "delete", "-x", experiment_id)
    assert client.get_experiment(experiment_id).lifecycle_stage == "deleted"
    assert name in _mlflow("experiments", "search", "--view", "deleted_only")
    _mlflow("experiments", "restore", "-x", experiment_id)
    assert client.get_experiment(experiment_id).lifecycle_stage == "active"
    run_id = client.create_run(experiment_id).info.run_id
    client.log_metric(run_id, "loss", 0.25)
    table = _mlflow("experiments", "csv", "-x", experiment_id)
    assert run_id in table
    assert "0.25" in table


def runs_are_managed() -> None:
    client = MlflowClient()
    experiment_id = client.create_experiment(f"by command {uuid4().hex}")
    run_id = client.create_run(experiment_id, run_name="described").info.run_id
    client.log_param(run_id, "depth", 3)
    assert run_id in _mlflow("runs", "list", "--experiment-id", experiment_id)
    described = json.loads(_mlflow("runs", "describe", "--run-id", run_id))
    assert described["data"]["params"] == {"depth": "3"}
    assert described["info"]["run_name"] == "described"
    _mlflow("runs", "delete", "--run-id", run_id)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    assert run_id in _mlflow("runs", "list", "--experiment-id", experiment_id, "-v", "deleted_only")
    _mlflow("runs", "restore", "--run-id", run_id)
    assert client.get_run(run_id).info.lifecycle_stage == "active"


def artifacts_go_up_and_down() -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "a.txt").write_text("a", encoding="utf-8")
    run_id = mlflow.start_run().info.run_id
    at = ("--run-id", run_id)
    _mlflow("artifacts", "log-artifact", *at, "--local-file", str(folder / "a.txt"))
    _mlflow(
        *("artifacts", "log-artifacts", *at, "--local-dir", str(folder), "--artifact-path", "whole")
    )
    listed = json.loads(_mlflow("artifacts", "list", *at))
    assert {(file["path"], file["is_dir"]) for file in listed} == {
        ("a.txt", False),
        ("whole", True),
    }
    down = _mlflow("artifacts", "download", *at, "--artifact-path", "whole")
    assert (Path(down.strip().splitlines()[-1]) / "a.txt").read_text(encoding="utf-8") == "a"


def a_refusal_is_the_end_of_a_command() -> None:
    ended = CliRunner().invoke(cli, ["runs", "describe", "--run-id", "0" * 32])
    assert ended.exit_code == 1
    assert "0" * 32 in str(ended.exception)
