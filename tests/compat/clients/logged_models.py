"""Logged models, which the client supports since its version 3."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import mlflow
from mlflow.entities import LoggedModelInput, LoggedModelOutput
from mlflow.tracking import MlflowClient
from tests.compat.clients.refusals import refused


def a_logged_model_is_made_filled_and_finalized() -> None:
    client = MlflowClient()
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model(
            "forest", source_run_id=run.info.run_id, tags={"a": "1"}, params={"depth": "3"}
        )
        assert (str(model.status), model.params) == ("PENDING", {"depth": "3"})
        client.log_model_artifact(model.model_id, __file__)
        mlflow.set_logged_model_tags(model.model_id, {"b": "2"})
        mlflow.delete_logged_model_tag(model.model_id, "a")
        mlflow.log_model_params({"rate": "0.5"}, model_id=model.model_id)
        mlflow.finalize_logged_model(model.model_id, "READY")
    found = mlflow.get_logged_model(model.model_id)
    assert (str(found.status), found.name, found.source_run_id) == (
        "READY",
        "forest",
        run.info.run_id,
    )
    assert found.params == {"depth": "3", "rate": "0.5"}
    assert found.tags["b"] == "2"
    assert "a" not in found.tags
    files = client.list_logged_model_artifacts(model.model_id)
    assert [file.path for file in files] == ["logged_models.py"]
    client.delete_logged_model(model.model_id)
    assert refused(lambda: client.get_logged_model(model.model_id)).error_code == (
        "RESOURCE_DOES_NOT_EXIST"
    )


def runs_have_models_as_inputs_and_outputs() -> None:
    client = MlflowClient()
    with mlflow.start_run() as run:
        made = mlflow.create_external_model("made", source_run_id=run.info.run_id)
        used = mlflow.create_external_model("used")
        client.log_outputs(run.info.run_id, [LoggedModelOutput(made.model_id, step=3)])
        client.log_inputs(run.info.run_id, models=[LoggedModelInput(used.model_id)])
    found = mlflow.get_run(run.info.run_id)
    assert [model.model_id for model in found.inputs.model_inputs] == [used.model_id]
    assert [(m.model_id, m.step) for m in found.outputs.model_outputs] == [(made.model_id, 3)]


def metrics_of_models_are_kept_with_their_dataset() -> None:
    with mlflow.start_run() as run:
        model = mlflow.create_external_model("measured", source_run_id=run.info.run_id)
        mlflow.log_metric("auc", 0.5, model_id=model.model_id, step=1)
        mlflow.log_metrics({"auc": 0.75, "f1": 1}, model_id=model.model_id, step=2)
    found = mlflow.get_logged_model(model.model_id)
    assert {(metric.key, metric.value) for metric in found.metrics} >= {("auc", 0.75), ("f1", 1.0)}
    assert mlflow.get_run(run.info.run_id).data.metrics == {"auc": 0.75, "f1": 1.0}


def models_are_searched_ordered_and_paged() -> None:
    client = MlflowClient()
    experiment_id = client.create_experiment(f"models {uuid4().hex}")
    ids = {}
    for number, name in enumerate(("Ada", "ben", "cleo")):
        run_id = client.create_run(experiment_id).info.run_id
        model = client.create_logged_model(
            experiment_id,
            name,
            run_id,
            tags={"color": ("red", "green", "blue")[number]},
            params={"depth": str(number)},
            model_type="agent" if number else "classifier",
        )
        ids[name] = model.model_id
        iris = {"dataset_name": "iris", "dataset_digest": "old" if number else "new"}
        client.log_metric(run_id, "auc", number / 2, model_id=model.model_id, **iris)

    def found(condition: str, **more: Any) -> set[str]:
        models = client.search_logged_models([experiment_id], condition, **more)
        return {model.name for model in models}

    table = {
        "name = 'Ada'": {"Ada"},
        "name != 'Ada'": {"ben", "cleo"},
        "name LIKE '%e%'": {"ben", "cleo"},
        "name ILIKE 'a%'": {"Ada"},
        "name IN ('Ada', 'ben')": {"Ada", "ben"},
        "name NOT IN ('Ada', 'ben')": {"cleo"},
        f"model_id = '{ids['ben']}'": {"ben"},
        "model_type = 'classifier'": {"Ada"},
        "attributes.model_type != 'classifier'": {"ben", "cleo"},
        "creation_timestamp > 0": {"Ada", "ben", "cleo"},
        "metrics.auc > 0": {"ben", "cleo"},
        "metrics.auc >= 0.5 AND metrics.auc < 1": {"ben"},
        "metrics.auc = 1": {"cleo"},
        "metrics.auc != 1": {"Ada", "ben"},
        "params.depth = '1'": {"ben"},
        "params.depth LIKE '%'": {"Ada", "ben", "cleo"},
        "tags.color = 'red'": {"Ada"},
        "tags.color ILIKE 'RED'": {"Ada"},
    }
    wrong = {
        condition: models
        for condition, expected in table.items()
        if (models := found(condition)) != expected
    }
    assert wrong == {}
    old = {"datasets": [{"dataset_name": "iris", "dataset_digest": "old"}]}
    assert found("", **old) == {"ben", "cleo"}
    assert found("name != 'ben'", **old) == {"cleo"}
    assert found("metrics.auc < 1", **old) == {"ben"}
    by_auc = {"field_name": "metrics.auc", "ascending": False}
    ordered = client.search_logged_models([experiment_id], order_by=[by_auc])
    assert [model.name for model in ordered] == ["cleo", "ben", "Ada"]
    page = client.search_logged_models([experiment_id], max_results=2, order_by=[by_auc])
    rest = client.search_logged_models(
        [experiment_id], max_results=2, order_by=[by_auc], page_token=page.token
    )
    assert [model.name for model in [*page, *rest]] == ["cleo", "ben", "Ada"]
    assert rest.token is None
    table_of = mlflow.search_logged_models([experiment_id], "name = 'ben'")
    assert list(table_of["model_id"]) == [ids["ben"]]
