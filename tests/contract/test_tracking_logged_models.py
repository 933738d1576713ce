import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.tracking.v1 import tracking_pb2 as pb

MISSING = "m-" + "0" * 32


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def get(tracking: Tracking, model_id: str) -> pb.LoggedModel:
    request = pb.GetLoggedModelRequest(model_id=model_id)
    model: pb.LoggedModel = tracking.rpc.GetLoggedModel(request).model
    return model


def test_a_model_is_pending_until_it_is_finalized(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    created = tracking.rpc.CreateLoggedModel(
        pb.CreateLoggedModelRequest(
            experiment_id="0",
            name="iris",
            model_type="sklearn",
            source_run_id=run_id,
            params=[pb.LoggedModelParameter(key="p", value="1")],
            tags=[pb.LoggedModelTag(key="t", value="2")],
        )
    ).model
    info = created.info
    assert info.model_id.startswith("m-")
    assert len(info.model_id) == 34
    assert info.artifact_uri == f"mlflow-artifacts:/0/models/{info.model_id}/artifacts"
    assert (info.status, info.source_run_id) == (pb.LOGGED_MODEL_PENDING, run_id)
    assert get(tracking, info.model_id) == created
    tracking.finalize(info.model_id)
    finalized = get(tracking, info.model_id)
    assert finalized.info.status == pb.LOGGED_MODEL_READY
    assert finalized.info.last_updated_timestamp_ms > info.last_updated_timestamp_ms
    assert [(tag.key, tag.value) for tag in finalized.info.tags] == [("t", "2")]
    assert [(param.key, param.value) for param in finalized.data.params] == [("p", "1")]


def test_a_model_without_a_name_gets_one(tracking: Tracking) -> None:
    created = tracking.rpc.CreateLoggedModel(pb.CreateLoggedModelRequest(experiment_id="0"))
    assert len(created.model.info.name.split("-")) == 3


@BEFORE_SQL
@pytest.mark.parametrize("name", ["a/b", " ", "x" * 501])
def test_a_name_with_other_characters_is_refused(tracking: Tracking, name: str) -> None:
    with refused("INVALID_PARAMETER_VALUE", "name"):
        tracking.rpc.CreateLoggedModel(pb.CreateLoggedModelRequest(experiment_id="0", name=name))


def test_the_run_must_be_of_the_experiment(tracking: Tracking) -> None:
    reply = tracking.rpc.CreateExperiment(pb.CreateExperimentRequest(name="other"))
    run_id = tracking.create_run(reply.experiment_id)
    with refused("INVALID_PARAMETER_VALUE", run_id, "not in 0"):
        tracking.create_model(run_id)
    with refused("RESOURCE_DOES_NOT_EXIST", "Run with id=nobody"):
        tracking.create_model("nobody")


def test_finalizing_needs_a_final_status(tracking: Tracking) -> None:
    model_id = tracking.create_model(tracking.create_run(), ready=False)
    with refused("INVALID_PARAMETER_VALUE", "LOGGED_MODEL_READY"):
        tracking.rpc.FinalizeLoggedModel(
            pb.FinalizeLoggedModelRequest(model_id=model_id, status=pb.LOGGED_MODEL_PENDING)
        )
    with refused("INVALID_PARAMETER_VALUE", "status"):
        tracking.rpc.FinalizeLoggedModel(pb.FinalizeLoggedModelRequest(model_id=model_id))
    with refused("RESOURCE_DOES_NOT_EXIST", MISSING):
        tracking.finalize(MISSING)


@BEFORE_SQL
@pytest.mark.parametrize("model_id", ["m-1"])
def test_a_malformed_model_id_is_not_found(tracking: Tracking, model_id: str) -> None:
    with refused("RESOURCE_DOES_NOT_EXIST", model_id):
        get(tracking, model_id)


def test_a_deleted_model_is_not_found(tracking: Tracking) -> None:
    model_id = tracking.create_model(tracking.create_run())
    request = pb.DeleteLoggedModelRequest(model_id=model_id)
    tracking.rpc.DeleteLoggedModel(request)
    with refused("RESOURCE_DOES_NOT_EXIST", model_id):
        get(tracking, model_id)


def test_deleting_a_model_again_changes_nothing(tracking: Tracking) -> None:
    model_id = tracking.create_model(tracking.create_run())
    request = pb.DeleteLoggedModelRequest(model_id=model_id)
    for _ in range(2):
        tracking.rpc.DeleteLoggedModel(request)
    request.model_id = "m-" + "0" * 32
    with refused("RESOURCE_DOES_NOT_EXIST", request.model_id):
        tracking.rpc.DeleteLoggedModel(request)


def test_tags_change_and_params_do_not(tracking: Tracking) -> None:
    model_id = tracking.create_model(tracking.create_run())
    for value in ("1", "2"):
        tags = [pb.LoggedModelTag(key="t", value=value)]
        tracking.rpc.SetLoggedModelTags(pb.SetLoggedModelTagsRequest(model_id=model_id, tags=tags))
    assert get(tracking, model_id).info.tags[0].value == "2"
    request = pb.DeleteLoggedModelTagRequest(model_id=model_id, tag_key="t")
    tracking.rpc.DeleteLoggedModelTag(request)
    with refused("RESOURCE_DOES_NOT_EXIST", "'t'"):
        tracking.rpc.DeleteLoggedModelTag(request)
    params = pb.LogLoggedModelParamsRequest(
        model_id=model_id, params=[pb.LoggedModelParameter(key="p", value="1")]
    )
    for _ in range(2):
        tracking.rpc.LogLoggedModelParams(params)
    params.params[0].value = "2"
    params.params.add(key="q", value="1")
    with refused("INVALID_PARAMETER_VALUE", "Changing param values is not allowed"):
        tracking.rpc.LogLoggedModelParams(params)
    assert [(p.key, p.value) for p in get(tracking, model_id).data.params] == [("p", "1")]


def test_an_mlmodel_file_is_recorded_in_the_runs_history_tag(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    descriptions: list[dict[str, object]] = [
        {"artifact_path": path, "flavors": {}, "utc_time_created": "now", "run_id": run_id}
        for path in ("a", "b")
    ]
    for description in (*descriptions, descriptions[1]):
        tracking.rpc.LogModel(pb.LogModelRequest(run_id=run_id, model_json=json.dumps(description)))
    tags = {tag.key: tag.value for tag in tracking.get_run(run_id).data.tags}
    assert json.loads(tags["mlflow.log-model.history"]) == descriptions


@BEFORE_SQL
@pytest.mark.parametrize(
    ("model_json", "expected"),
    [("{}", "artifact_path"), ("[" * 99_999, "not JSON")],
    ids=["empty", "deep"],
)
def test_a_malformed_mlmodel_file_is_refused(
    tracking: Tracking, model_json: str, expected: str
) -> None:
    run_id = tracking.create_run()
    with refused("INVALID_PARAMETER_VALUE", expected):
        tracking.rpc.LogModel(pb.LogModelRequest(run_id=run_id, model_json=model_json))


def test_a_history_tag_that_is_no_list_is_not_overwritten(tracking: Tracking) -> None:
    run_id = tracking.create_run(tags=[pb.RunTag(key="mlflow.log-model.history", value="mine")])
    model = {"artifact_path": "a", "flavors": {}, "utc_time_created": "now", "run_id": run_id}
    with refused("INVALID_STATE", "not a JSON list"):
        tracking.rpc.LogModel(pb.LogModelRequest(run_id=run_id, model_json=json.dumps(model)))
