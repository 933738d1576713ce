"""Experiments, as users of MLflow's client create, find, rename and delete them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import mlflow
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from tests.compat.clients.refusals import refused


def _names(filter_string: str, **options: Any) -> list[str]:
    found = MlflowClient().search_experiments(filter_string=filter_string, **options)
    return [experiment.name for experiment in found]


def a_created_experiment_is_found_by_id_and_by_name() -> None:
    client = MlflowClient()
    name = f"found {uuid4().hex}"
    created = client.create_experiment(name, tags={"team": "blue"})
    by_id = client.get_experiment(created)
    assert (by_id.experiment_id, by_id.name, by_id.tags) == (created, name, {"team": "blue"})
    assert by_id.lifecycle_stage == "active"
    assert by_id.artifact_location
    assert by_id.creation_time == by_id.last_update_time
    by_name = client.get_experiment_by_name(name)
    assert by_name is not None
    assert dict(by_name) == dict(by_id)
    assert mlflow.get_experiment_by_name("no such experiment") is None


def set_experiment_creates_once_and_finds_after() -> None:
    name = f"set {uuid4().hex}"
    first = mlflow.set_experiment(name)
    assert mlflow.set_experiment(name).experiment_id == first.experiment_id
    assert mlflow.set_experiment(experiment_id=first.experiment_id).name == name
    with mlflow.start_run() as run:
        assert run.info.experiment_id == first.experiment_id


def a_taken_name_is_refused() -> None:
    name = f"taken {uuid4().hex}"
    MlflowClient().create_experiment(name)
    error = refused(lambda: MlflowClient().create_experiment(name))
    assert error.error_code == "RESOURCE_ALREADY_EXISTS"
    assert name in error.message


def a_renamed_experiment_has_its_new_name() -> None:
    client = MlflowClient()
    name = f"renamed {uuid4().hex}"
    created = client.create_experiment(f"old {name}")
    client.rename_experiment(created, name)
    assert client.get_experiment(created).name == name
    assert client.get_experiment_by_name(f"old {name}") is None


def tags_are_set_and_replaced() -> None:
    client = MlflowClient()
    created = client.create_experiment(f"tagged {uuid4().hex}")
    client.set_experiment_tag(created, "stage", "first")
    client.set_experiment_tag(created, "stage", "second")
    client.set_experiment_tag(created, "mlflow.note.content", "what it is for")
    tags = client.get_experiment(created).tags
    assert tags["stage"] == "second"
    assert tags["mlflow.note.content"] == "what it is for"
    mlflow.set_experiment(experiment_id=created)
    mlflow.set_experiment_tags({"one": 1, "two": 2})
    assert client.get_experiment(created).tags["two"] == "2"


def a_deleted_experiment_is_restored_with_its_runs() -> None:
    client = MlflowClient()
    name = f"deleted {uuid4().hex}"
    created = client.create_experiment(name)
    run = client.create_run(created)
    client.delete_experiment(created)
    assert client.get_experiment(created).lifecycle_stage == "deleted"
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "deleted"
    assert name not in _names(f"name = '{name}'")
    assert _names(f"name = '{name}'", view_type=ViewType.DELETED_ONLY) == [name]
    assert _names(f"name = '{name}'", view_type=ViewType.ALL) == [name]
    refused(lambda: client.create_run(created))
    try:
        mlflow.set_experiment(name)
    except MlflowException as error:
        assert "deleted" in str(error)  # noqa: PT017 - no pytest in this environment
    else:
        raise AssertionError("a deleted experiment became the active one")
    client.restore_experiment(created)
    assert client.get_experiment(created).lifecycle_stage == "active"
    assert client.get_run(run.info.run_id).info.lifecycle_stage == "active"


def search_knows_every_operator() -> None:
    client = MlflowClient()
    mark = uuid4().hex
    ids = {
        name: client.create_experiment(f"{name} {mark}", tags={"mark": mark, "color": name})
        for name in ("Red", "green", "blue")
    }
    client.set_experiment_tag(ids["blue"], "with space", "yes")
    made = client.get_experiment(ids["green"]).creation_time
    mine = f"tags.mark = '{mark}'"

    def found(condition: str) -> set[str]:
        return {name.split()[0] for name in _names(f"{mine} AND {condition}")}

    assert found(f"name = 'Red {mark}'") == {"Red"}
    assert found(f"name != 'Red {mark}'") == {"green", "blue"}
    assert found("name LIKE 'Re%'") == {"Red"}
    assert found("name LIKE 're%'") == set()
    assert found("name ILIKE 're%'") == {"Red"}
    assert found(f"attribute.name = 'green {mark}'") == {"green"}
    assert found("tags.color = 'green'") == {"green"}
    assert found("tags.color != 'green'") == {"Red", "blue"}
    assert found("tags.color LIKE '%e%'") == {"Red", "green", "blue"}
    assert found("tags.color ILIKE 'RED'") == {"Red"}
    assert found("tags.`with space` = 'yes'") == {"blue"}
    assert found(f"creation_time <= {made}") >= {"green"}
    assert found(f"creation_time > {made + 10**9}") == set()
    assert found(f"last_update_time >= {made}") >= {"green", "blue"}


def search_orders_and_pages() -> None:
    client = MlflowClient()
    mark = uuid4().hex
    for letter in "cabed":
        client.create_experiment(f"{letter} {mark}")
    mine = {"filter_string": f"name LIKE '% {mark}'", "order_by": ["name ASC"]}
    seen = []
    page = client.search_experiments(max_results=2, **mine)
    while True:
        seen += [experiment.name[0] for experiment in page]
        assert len(page) <= 2
        if not page.token:
            break
        page = client.search_experiments(max_results=2, page_token=page.token, **mine)
    assert "".join(seen) == "abcde"
    down = _names(f"name LIKE '% {mark}'", order_by=["name DESC"])
    assert [name[0] for name in down] == list("edcba")
    newest_first = _names(f"name LIKE '% {mark}'")
    assert {name[0] for name in newest_first} == set("abcde")
