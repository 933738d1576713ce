from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from modelyard import _wire
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    LoggedModel,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    PagedList,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    RunOutputs,
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


RECEIVED = pb.Run(
    info=pb.RunInfo(run_id="r", experiment_id="1", user_id="ada", status=pb.FINISHED, end_time=2),
    data=pb.RunData(
        metrics=[pb.Metric(key="m", value=0.5)],
        params=[pb.Param(key="p", value="1")],
        tags=[pb.RunTag(key="t", value="x")],
    ),
    inputs=pb.RunInputs(
        dataset_inputs=[
            pb.DatasetInput(dataset=pb.Dataset(name="d"), tags=[pb.InputTag(key="k", value="v")])
        ],
        model_inputs=[pb.ModelInput(model_id="m-1")],
    ),
    outputs=pb.RunOutputs(model_outputs=[pb.ModelOutput(model_id="m-2", step=3)]),
    etag="e",
)
EXPECTED = Run(
    RunInfo("r", "1", "ada", "FINISHED", 0, 2, "", "", ""),
    RunData({"m": 0.5}, {"p": "1"}, {"t": "x"}),
    RunInputs(
        [DatasetInput(Dataset("d", "", "", ""), [InputTag("k", "v")])], [LoggedModelInput("m-1")]
    ),
    RunOutputs([LoggedModelOutput("m-2", 3)]),
    "e",
)


@pytest.mark.parametrize(
    "seen",
    [
        lambda run: run,
        repr,
        dict,
        lambda run: run.to_dictionary(),
        dataclasses.asdict,
        lambda run: dataclasses.replace(run, etag="f"),
        copy.copy,
        copy.deepcopy,
        lambda run: pickle.loads(pickle.dumps(run)),  # noqa: S301 - our own bytes
        lambda run: set(dir(run)) >= {"info", "data", "inputs", "outputs", "etag"},
        lambda run: hasattr(run, "name"),
        *[lambda run, name=field.name: getattr(run, name) for field in dataclasses.fields(Run)],
    ],
)
def test_a_received_run_is_like_any_other(seen: Callable[[Run], Any]) -> None:
    assert seen(_wire.run(RECEIVED)) == seen(EXPECTED)


def test_a_received_run_keeps_what_is_changed_in_it() -> None:
    run = _wire.run(RECEIVED)
    run.data.tags["t"] = "y"
    assert run.data.tags == copy.copy(run).data.tags == {"t": "y"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.etag = "f"  # type: ignore[misc]  # what is tested


def test_a_received_run_does_not_keep_its_page() -> None:
    page = pb.SearchRunsResponse(runs=[RECEIVED])
    run = _wire.run(page.runs[0])
    page.runs[0].etag = "of the page"
    assert run == EXPECTED


def test_a_page_becomes_a_plain_list() -> None:
    page = PagedList([1, 2], "token")
    assert type(page.to_list()) is list
    assert page.to_list() == [1, 2]


@pytest.mark.parametrize("kind", [MlflowException, RestException])
def test_a_refusal_is_caught_under_the_names_of_mlflow(kind: type[Exception]) -> None:
    with pytest.raises(kind):
        raise NotFound("no such model")
