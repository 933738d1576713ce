from __future__ import annotations

import logging
import math
import uuid
from typing import Any

import pytest

from modelyard.client import MlflowClient
from modelyard.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from modelyard.exceptions import (
    AlreadyExists,
    InvalidParameter,
    InvalidState,
    NotFound,
)

NUMBER: Any = 3
TEXT: Any = "3"


@pytest.fixture
def experiment_id(client: MlflowClient) -> str:
    return client.create_experiment(f"of test {uuid.uuid4().hex}")


@pytest.fixture
def run_id(client: MlflowClient, experiment_id: str) -> str:
    return client.create_run(experiment_id).info.run_id


def test_an_experiment_lives_and_comes_back(client: MlflowClient) -> None:
    name = f"life {uuid.uuid4().hex}"
    made = client.create_experiment(name, tags={"team": "ds", "size": 3})
    found = client.get_experiment(made)
    assert (found.name, found.lifecycle_stage) == (name, "active")
    assert found.tags == {"team": "ds", "size": "3"}
    with pytest.raises(AlreadyExists):
        client.create_experiment(name)
    client.set_experiment_tag(made, "team", "ml")
    client.delete_experiment_tag(made, "size")
    client.rename_experiment(made, f"{name}!")
    client.delete_experiment(made)
    deleted = client.get_experiment_by_name(f"{name}!")
    assert deleted is not None
    assert (deleted.lifecycle_stage, deleted.tags) == ("deleted", {"team": "ml"})
    client.restore_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "active"


def test_a_missing_experiment_is_none_by_name_and_an_error_by_id(client: MlflowClient) -> None:
    assert client.get_experiment_by_name("never made") is None
    with pytest.raises(NotFound, match="987654"):
        client.get_experiment("987654")


def test_a_search_of_experiments_goes_on_page_by_page(client: MlflowClient) -> None:
    mark = uuid.uuid4().hex
    made = {client.create_experiment(f"{mark} {i}") for i in range(5)}
    seen, token = set(), None
    while True:
        page = client.search_experiments(ViewType.ALL, 2, f"name LIKE '{mark}%'", page_token=token)
        assert len(page) <= 2
        seen |= {found.experiment_id for found in page}
        token = page.token
        if token is None:
            break
    assert seen == made


def test_a_run_holds_what_was_logged(client: MlflowClient, experiment_id: str) -> None:
    run = client.create_run(experiment_id, run_name="first", tags={"who": "me"}, start_time=5)
    run_id = run.info.run_id
    assert client.log_param(run_id, "depth", 3) == 3
    client.log_metric(run_id, "acc", 0.5, step=1)
    client.log_metric(run_id, "acc", 0.75, step=2)
    client.set_tag(run_id, "note", "good")
    client.delete_tag(run_id, "who")
    client.set_terminated(run_id, end_time=9)
    found = client.get_run(run_id)
    assert found.info.run_name == "first"
    assert (found.info.status, found.info.start_time, found.info.end_time) == ("FINISHED", 5, 9)
    assert found.data.params == {"depth": "3"}
    assert found.data.metrics == {"acc": 0.75}
    assert found.data.tags == {"note": "good", "mlflow.runName": "first"}
    assert found.to_dictionary()["data"]["params"] == {"depth": "3"}
    assert [point.step for point in client.get_metric_history(run_id, "acc")] == [1, 2]
    assert client.get_metric_history(run_id, "unknown") == []


def test_a_running_run_has_no_end(client: MlflowClient, run_id: str) -> None:
    found = client.get_run(run_id)
    assert (found.info.status, found.info.end_time) == ("RUNNING", None)


def test_nan_and_infinities_are_kept(client: MlflowClient, run_id: str) -> None:
    for key, value in (("nan", math.nan), ("inf", math.inf), ("minus", -math.inf)):
        client.log_metric(run_id, key, value)
    metrics = client.get_run(run_id).data.metrics
    assert math.isnan(metrics["nan"])
    assert (metrics["inf"], metrics["minus"]) == (math.inf, -math.inf)


@pytest.mark.parametrize("value", ["high", None, [1, 2], object()])
def test_what_is_no_number_is_no_metric(client: MlflowClient, run_id: str, value: Any) -> None:
    with pytest.raises(InvalidParameter, match="metric 'm': expected a number"):
        client.log_metric(run_id, "m", value)
    with pytest.raises(InvalidParameter):
        client.log_batch(run_id, metrics=[Metric("ok", 1, 1), Metric("m", value, 1)])
    assert client.get_run(run_id).data.metrics == {}


def test_numbers_and_bools_of_numpy_are_metrics(client: MlflowClient, run_id: str) -> None:
    np = pytest.importorskip("numpy")
    client.log_metric(run_id, "f", np.float32(0.5))
    client.log_metric(run_id, "i", np.array(7))
    client.log_metric(run_id, "b", np.bool_(1))
    assert client.get_run(run_id).data.metrics == {"f": 0.5, "i": 7.0, "b": 1.0}


def test_a_param_never_changes(client: MlflowClient, run_id: str) -> None:
    client.log_param(run_id, "a", 1)
    client.log_param(run_id, "a", 1)
    with pytest.raises(InvalidParameter, match="Changing param values is not allowed"):
        client.log_param(run_id, "a", 2)


def test_long_values_are_cut_with_a_warning(
    client: MlflowClient, run_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "modelyard"):
        client.log_param(run_id, "p", "x" * 6001)
        client.set_tag(run_id, "t", "y" * 8001)
    found = client.get_run(run_id).data
    assert (len(found.params["p"]), len(found.tags["t"])) == (6000, 8000)
    assert "param 'p' has 6001 characters" in caplog.text


def test_long_values_are_refused_when_they_may_not_be_cut(
    client: MlflowClient, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    with pytest.raises(InvalidParameter, match="6,001"):
        client.log_param(run_id, "p", "x" * 6001)
    assert client.get_run(run_id).data.params == {}


def test_a_batch_over_the_limits_is_split(client: MlflowClient, run_id: str) -> None:
    client.log_batch(
        run_id,
        metrics=[Metric("m", i, 1, step=i) for i in range(2100)],
        params=[Param(f"p{i}", str(i)) for i in range(150)],
        tags=[RunTag(f"t{i}", str(i)) for i in range(150)],
    )
    found = client.get_run(run_id).data
    assert (len(found.params), len(found.tags)) == (150, 151)
    assert [int(p.value) for p in client.get_metric_history(run_id, "m")] == list(range(2100))


def test_a_run_is_deleted_and_restored(client: MlflowClient, run_id: str) -> None:
    client.delete_run(run_id)
    with pytest.raises(InvalidState):
        client.log_metric(run_id, "m", 1)
    client.restore_run(run_id)
    client.log_metric(run_id, "m", 1)


def test_an_unknown_status_or_view_is_refused_here(client: MlflowClient, run_id: str) -> None:
    with pytest.raises(InvalidParameter, match="'DONE'; it must be one of RUNNING"):
        client.update_run(run_id, status="DONE")
    with pytest.raises(InvalidParameter, match="'7'; it must be one of ACTIVE_ONLY"):
        client.search_runs(["0"], run_view_type=7)


def test_a_nested_run_knows_its_parent(
    client: MlflowClient, experiment_id: str, run_id: str
) -> None:
    child = client.create_run(experiment_id, tags={"mlflow.parentRunId": run_id})
    parent = client.get_parent_run(child.info.run_id)
    assert parent is not None
    assert parent.info.run_id == run_id
    assert client.get_parent_run(run_id) is None


def test_inputs_and_outputs_are_kept(client: MlflowClient, experiment_id: str, run_id: str) -> None:
    dataset = Dataset("iris", "d1", "local", "{}")
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])])
    model = client.create_logged_model(experiment_id, "m", run_id)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 3)])
    found = client.get_run(run_id)
    assert found.inputs.dataset_inputs[0].dataset == dataset
    assert found.outputs.model_outputs == [LoggedModelOutput(model.model_id, 3)]


def test_a_logged_model_is_made_and_finalized(
    client: MlflowClient, experiment_id: str, run_id: str
) -> None:
    model = client.create_logged_model(
        experiment_id, "m", run_id, tags={"a": 1}, params={"depth": 2}, model_type="classifier"
    )
    assert (model.status, model.model_uri) == (
        LoggedModelStatus.PENDING,
        f"models:/{model.model_id}",
    )
    with pytest.raises(InvalidParameter, match="READY or FAILED"):
        client.finalize_logged_model(model.model_id, "DONE")
    ready = client.finalize_logged_model(model.model_id, "READY")
    assert ready.status == "READY"
    client.set_logged_model_tags(model.model_id, {"b": 2})
    client.delete_logged_model_tag(model.model_id, "a")
    client.log_model_params(model.model_id, {"width": 4})
    found = client.get_logged_model(model.model_id)
    assert (found.tags, found.params) == ({"b": "2"}, {"depth": "2", "width": "4"})
    assert (found.source_run_id, found.model_type) == (run_id, "classifier")
    client.delete_logged_model(model.model_id)
    with pytest.raises(NotFound):
        client.get_logged_model(model.model_id)


def test_a_search_of_logged_models_with_a_malformed_order_is_refused(
    client: MlflowClient,
) -> None:
    with pytest.raises(InvalidParameter, match="expected dicts of"):
        client.search_logged_models(["0"], order_by=[{"column": "x"}])


def test_arguments_of_mlflow_for_asynchronous_logging_are_accepted(
    client: MlflowClient, run_id: str
) -> None:
    logged = client.log_metric(run_id, "m", 1, 5, 2, False)  # noqa: FBT003 - MLflow's order
    assert logged is not None
    logged.wait()
    client.log_param(run_id, "p", 1, synchronous=True)
    client.set_tag(run_id, "t", 1, synchronous=False)
    client.log_batch(run_id, [Metric("n", 2.0, 3)], synchronous=True)
    assert client.get_run(run_id).data.metrics == {"m": 1.0, "n": 2.0}


@pytest.mark.parametrize(
    ("method", "arguments", "told"),
    [
        ("get_run", (3,), "Invalid value 3 for argument 'run_id' of get_run: expected text"),
        ("log_metric", ("r", 1, 1.0), "value 1 for argument 'key' of log_metric"),
        ("log_metric", ("r", "m", 1, 1.5), "1.5 for argument 'timestamp' .* whole number"),
        ("log_metric", ("r", "m", 1, 1, "2"), "'2' for argument 'step' .* got str"),
        ("log_metric", ("r", "m", 1, 1, 2**70), "argument 'step' .* of 64 bits"),
        ("log_metric", ("r", "m", 1, 1, True), "True for argument 'step' .* got bool"),
        ("log_batch", ("r", [Metric("m", 1, TEXT)]), "'3' for timestamp in argument 'metrics'"),
        ("log_batch", ("r", [], [Param(NUMBER, "x")]), "value 3 for key in argument 'params'"),
        ("set_tag", ("r", "k\ud800", "v"), "argument 'key' of set_tag: expected text of valid"),
        ("log_param", ("r", "k", "\ud800"), "param 'k': expected text of valid Unicode"),
        ("create_run", ("0", None, {1: 2}), "value 1 for a key of argument 'tags'"),
        ("create_experiment", (7,), "value 7 for argument 'name' of create_experiment"),
        ("search_runs", (["0"], "", 1, 10, [3]), "3 for an item of argument 'order_by'"),
        ("search_runs", (["0"], "", 1, "many"), "'many' for argument 'max_results'"),
        ("create_registered_model", (3,), "value 3 for argument 'name'"),
        ("get_latest_versions", ("a", "Staging"), r"'Staging' .* a list, such as \['Staging'\]"),
        ("search_experiments", (1, 9, "", "name"), "'name' for argument 'order_by' .* a list"),
        ("log_batch", ("r", "metrics"), "'metrics' for argument 'metrics' .* a list"),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(
    client: MlflowClient, method: str, arguments: tuple[Any, ...], told: str
) -> None:
    with pytest.raises(InvalidParameter, match=told):
        getattr(client, method)(*arguments)


def test_a_call_without_its_arguments_is_refused_by_python(client: MlflowClient) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'run_id'"):
        client.get_run()  # type: ignore[call-arg]
