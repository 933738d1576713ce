"""Makes calls that must be refused, in an environment with MLflow.

It is run as `python -m tests.compat.refused_calls GUARDED TOKEN`, with the address of a server that
needs the token, and prints each call's error as JSON. Before each call it requests `/mark/<name>`,
so that a proxy in between can attribute requests to calls.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import urllib.request
import warnings
from collections.abc import Callable
from uuid import uuid4

import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service.utils import _get_store
from tests.compat.clients.refusals import refused

Call = Callable[[], object]


def tracking_calls() -> dict[str, Call]:
    client = MlflowClient()
    taken = f"taken {uuid4().hex}"
    experiment_id = client.create_experiment(taken)
    run_id = client.create_run(experiment_id).info.run_id
    deleted = client.create_run(experiment_id).info.run_id
    client.log_param(run_id, "depth", 3)
    client.delete_run(deleted)
    points = [Metric("loss", 1.0, step, step) for step in range(1001)]
    return {
        "param_changed": lambda: client.log_param(run_id, "depth", 4),
        "run_missing": lambda: client.get_run("0" * 32),
        "run_deleted": lambda: client.log_metric(deleted, "late", 1),
        "filter_unreadable": lambda: client.search_runs([experiment_id], "metrics.loss ~ 3"),
        "page_token_unreadable": lambda: client.search_runs([experiment_id], page_token="x"),
        "batch_too_large": lambda: _get_store().log_batch(run_id, points, [], []),
        "experiment_taken": lambda: client.create_experiment(taken),
        "rename_taken": lambda: client.rename_experiment("0", taken),
        "location_elsewhere": lambda: client.create_experiment(uuid4().hex, "s3://bucket/there"),
    }


def registry_calls() -> dict[str, Call]:
    client = MlflowClient()
    name = f"model-{uuid4().hex}"
    client.create_registered_model(name)
    with mlflow.start_run() as run:
        mlflow.log_text("flavors: {}\n", "model/MLmodel")
    client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    return {
        "model_missing": lambda: client.get_registered_model("no such model"),
        "model_taken": lambda: client.create_registered_model(name),
        "model_protected": lambda: client.delete_registered_model("protected"),
        "name_bad": lambda: client.create_registered_model("a/b"),
        "stage_bad": lambda: client.transition_model_version_stage(name, "1", "Prod"),
        "stage_empty": lambda: client.get_model_version(name, "production"),
        "version_missing": lambda: client.update_model_version(name, "9", "x"),
        "version_of_missing_run": lambda: client.create_model_version(
            name, f"mlflow-artifacts:/0/{'0' * 32}/artifacts/model", "0" * 32
        ),
        "alias_of_nothing": lambda: client.set_registered_model_alias(name, "champion", "9"),
        "alias_missing": lambda: client.get_model_version_by_alias(name, "missing"),
        "tag_too_long": lambda: client.set_registered_model_tag(name, "a", "x" * 100_001),
        "description_too_long": lambda: client.update_registered_model(name, "x" * 100_001),
    }


def token_calls(guarded: str, token: str) -> dict[str, Call]:
    client = MlflowClient(guarded)

    def ask(sent: str) -> object:
        if sent:
            os.environ["MLFLOW_TRACKING_TOKEN"] = sent
        try:
            return client.get_experiment("0").name
        finally:
            os.environ.pop("MLFLOW_TRACKING_TOKEN", None)

    assert ask(token) == "Default"
    return {"token_missing": lambda: ask(""), "token_wrong": lambda: ask("not " + token)}


def main(guarded: str, token: str) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    calls = tracking_calls() | registry_calls()
    ends = {}
    for at, some in (
        (mlflow.get_tracking_uri(), calls),
        (guarded, token_calls(guarded, token)),
    ):
        for name, call in some.items():
            urllib.request.urlopen(f"{at}/mark/{name}").close()  # noqa: S310 - our own proxy
            error = refused(call)
            ends[name] = [error.error_code, error.message]
    print(json.dumps(ends))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
