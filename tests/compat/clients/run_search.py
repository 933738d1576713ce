"""The search of runs, with every operator of its grammar."""

from __future__ import annotations

import math
from typing import Any
from uuid import uuid4

import mlflow
from mlflow.tracking import MlflowClient


def _three_runs() -> tuple[str, dict[str, str]]:
    """Return an experiment and the ids of its runs by name."""
    client = MlflowClient()
    experiment_id = client.create_experiment(f"searched {uuid4().hex}")
    ids = {}
    for number, name in enumerate(("Ada", "ben", "cleo")):
        run = client.create_run(experiment_id, start_time=1000 + number, run_name=name)
        run_id = ids[name] = run.info.run_id
        client.log_metric(run_id, "loss", number / 2)
        client.log_metric(run_id, "a b", number)
        client.log_param(run_id, "solver", ("lbfgs", "SAG", "saga")[number])
        client.set_tag(run_id, "team.name", ("red", "green", "blue")[number])
    client.log_metric(ids["cleo"], "odd", math.nan)
    client.log_param(ids["ben"], "only", "here")
    client.set_terminated(ids["Ada"], "FINISHED", end_time=5000)
    client.set_terminated(ids["ben"], "FAILED", end_time=6000)
    return experiment_id, ids


def _search(experiment_id: str, condition: str, **options: Any) -> list[str]:
    found = MlflowClient().search_runs([experiment_id], condition, **options)
    return [run.info.run_name for run in found]


def every_operator_finds_what_it_should() -> None:
    experiment_id, ids = _three_runs()
    table: dict[str, set[str]] = {
        "": {"Ada", "ben", "cleo"},
        "metrics.loss > 0": {"ben", "cleo"},
        "metrics.loss >= 0.5": {"ben", "cleo"},
        "metrics.loss = 0.5": {"ben"},
        "metrics.loss != 0.5": {"Ada", "cleo"},
        "metric.loss < 0.5": {"Ada"},
        "metrics.loss <= 0.5": {"Ada", "ben"},
        "metrics.`a b` = 2": {"cleo"},
        'metrics."a b" = 2': {"cleo"},
        "metrics.odd > -1": set(),
        "params.solver = 'lbfgs'": {"Ada"},
        "params.solver != 'lbfgs'": {"ben", "cleo"},
        "param.solver LIKE 'sag%'": {"cleo"},
        "params.solver ILIKE 'sag%'": {"ben", "cleo"},
        'parameters.solver = "saga"': {"cleo"},
        "params.only IS NULL": {"Ada", "cleo"},
        "params.only IS NOT NULL": {"ben"},
        "tags.`team.name` = 'red'": {"Ada"},
        "tag.`team.name` != 'red'": {"ben", "cleo"},
        "tags.`team.name` LIKE '%e%'": {"Ada", "ben", "cleo"},
        "tags.`team.name` ILIKE 'RED'": {"Ada"},
        "tags.missing IS NULL": {"Ada", "ben", "cleo"},
        "tags.`mlflow.runName` = 'ben'": {"ben"},
        "attributes.status = 'FINISHED'": {"Ada"},
        "status != 'FINISHED'": {"ben", "cleo"},
        "attributes.run_name = 'ben'": {"ben"},
        "run_name LIKE '%e%'": {"ben", "cleo"},
        "run_name ILIKE 'a%'": {"Ada"},
        f"run_id = '{ids['ben']}'": {"ben"},
        f"attributes.run_id IN ('{ids['Ada']}', '{ids['ben']}')": {"Ada", "ben"},
        f"attr.run_id NOT IN ('{ids['Ada']}')": {"ben", "cleo"},
        "start_time = 1001": {"ben"},
        "start_time > 1000 and start_time < 1002": {"ben"},
        "attributes.end_time >= 5000": {"Ada", "ben"},
        "created <= 1000": {"Ada"},
        "run.status = 'FAILED' AND metrics.loss > 0 AND params.only = 'here'": {"ben"},
        "artifact_uri LIKE '%artifacts'": {"Ada", "ben", "cleo"},
    }
    wrong = {
        condition: found
        for condition, expected in table.items()
        if (found := set(_search(experiment_id, condition))) != expected
    }
    assert wrong == {}


def results_are_ordered() -> None:
    experiment_id, _ = _three_runs()

    def ordered(*keys: str) -> list[str]:
        return _search(experiment_id, "", order_by=list(keys))

    assert ordered() == ["cleo", "ben", "Ada"]
    assert ordered("metrics.loss DESC") == ["cleo", "ben", "Ada"]
    assert ordered("metrics.loss") == ["Ada", "ben", "cleo"]
    assert ordered("params.solver ASC") == ["ben", "Ada", "cleo"]
    assert ordered("tags.`team.name`") == ["cleo", "ben", "Ada"]
    assert ordered("attributes.start_time ASC") == ["Ada", "ben", "cleo"]
    assert ordered("status DESC", "start_time") == ["cleo", "Ada", "ben"]
    assert ordered("metrics.odd DESC", "start_time ASC") == ["cleo", "Ada", "ben"]
    assert ordered("params.only ASC", "start_time ASC") == ["ben", "Ada", "cleo"]


def pages_follow_one_another() -> None:
    client = MlflowClient()
    experiment_id = client.create_experiment(f"paged {uuid4().hex}")
    made = [client.create_run(experiment_id, start_time=n + 1).info.run_id for n in range(7)]
    seen: list[str] = []
    page = client.search_runs([experiment_id], max_results=3)
    sizes = [len(page)]
    seen += [run.info.run_id for run in page]
    while page.token:
        page = client.search_runs([experiment_id], max_results=3, page_token=page.token)
        sizes.append(len(page))
        seen += [run.info.run_id for run in page]
    assert sizes == [3, 3, 1]
    assert seen == made[::-1]


def the_fluent_search_answers_a_table() -> None:
    experiment_id, ids = _three_runs()
    table = mlflow.search_runs([experiment_id], "metrics.loss > 0", order_by=["start_time ASC"])
    assert list(table["run_id"]) == [ids["ben"], ids["cleo"]]
    assert list(table["metrics.loss"]) == [0.5, 1.0]
    assert list(table["params.solver"]) == ["SAG", "saga"]
    assert list(table["status"]) == ["FAILED", "RUNNING"]
    name = mlflow.get_experiment(experiment_id).name
    as_list = mlflow.search_runs(experiment_names=[name], output_format="list")
    assert len(as_list) == 3
    everywhere = mlflow.search_runs(search_all_experiments=True, filter_string="run_name = 'cleo'")
    assert ids["cleo"] in set(everywhere["run_id"])
    assert mlflow.search_runs([experiment_id], "metrics.loss > 9").empty
