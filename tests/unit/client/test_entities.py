from __future__ import annotations

import pytest

from modelyard.entities import (
    Experiment,
    LoggedModel,
    Metric,
    PagedList,
    Run,
    RunData,
    RunInfo,
)
from modelyard.entities.model_registry import ModelVersion, RegisteredModel
from modelyard.exceptions import MlflowException, NotFound, RestException


def test_an_entity_reads_as_pairs_of_attribute_and_value() -> None:
    version = ModelVersion("iris", "3", 1, 2, current_stage="Staging", tags={"team": "ds"})
    read = dict(version)
    assert (read["name"], read["version"], read["current_stage"]) == ("iris", "3", "Staging")
    assert read["tags"] == {"team": "ds"}
    assert dict(RegisteredModel("iris", 1, 2, latest_versions=[version]))["latest_versions"] == [
        version
    ]
    assert dict(Experiment("1", "a", "", "active"))["experiment_id"] == "1"


def test_entities_become_dicts_with_all_that_is_inside() -> None:
    metric = Metric("m", 0.5, 1, step=2)
    assert metric.to_dictionary()["step"] == 2
    model = LoggedModel("1", "m-1", "model", "", 1, 2, metrics=[metric])
    assert model.to_dictionary()["metrics"] == [metric.to_dictionary()]
    data = RunData(metrics={"m": 0.5}, params={"p": "1"})
    assert data.to_dictionary() == {"metrics": {"m": 0.5}, "params": {"p": "1"}, "tags": {}}
    info = RunInfo("r", "1", "ada", "RUNNING", 1, None, "active", "", "first")
    run = Run(info, data).to_dictionary()
    assert run["data"] == data.to_dictionary()
    assert run["info"]["run_name"] == "first"
    assert run["inputs"] == {"dataset_inputs": [], "model_inputs": []}


def test_a_page_becomes_a_plain_list() -> None:
    page = PagedList([1, 2], "token")
    assert type(page.to_list()) is list
    assert page.to_list() == [1, 2]


@pytest.mark.parametrize("kind", [MlflowException, RestException])
def test_a_refusal_is_caught_under_the_names_of_mlflow(kind: type[Exception]) -> None:
    with pytest.raises(kind):
        raise NotFound("no such model")
