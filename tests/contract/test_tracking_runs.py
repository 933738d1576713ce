from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.tracking.v1 import tracking_pb2 as pb


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def tags_of(run: pb.Run) -> dict[str, str]:
    return {tag.key: tag.value for tag in run.data.tags}


def test_a_user_in_a_tag_may_be_as_long_as_one_in_the_field(tracking: Tracking) -> None:
    run_id = tracking.create_run(tags=[pb.RunTag(key="mlflow.user", value="x" * 250)])
    assert tracking.get_run(run_id).info.user_id == "x" * 250
    with refused("INVALID_PARAMETER_VALUE", "mlflow.user", "251 characters"):
        tracking.create_run(tags=[pb.RunTag(key="mlflow.user", value="x" * 251)])


def test_a_new_run_has_an_id_a_name_and_an_artifact_folder(tracking: Tracking) -> None:
    reply = tracking.rpc.CreateRun(
        pb.CreateRunRequest(experiment_id="0"), metadata=(("x-modelyard-user", "ada"),)
    )
    info = reply.run.info
    assert len(info.run_id) == 32
    assert info.run_uuid == info.run_id
    assert info.artifact_uri == f"mlflow-artifacts:/0/{info.run_id}/artifacts"
    assert (info.status, info.lifecycle_stage, info.user_id) == (pb.RUNNING, "active", "ada")
    assert not info.HasField("end_time")
    assert tags_of(reply.run) == {"mlflow.runName": info.run_name}
    assert len(info.run_name.split("-")) == 3
    assert tracking.get_run(info.run_id) == reply.run


def test_name_and_name_tag_are_one(tracking: Tracking) -> None:
    tag = pb.RunTag(key="mlflow.runName", value="from-tag")
    run_id = tracking.create_run(tags=[tag])
    assert tracking.get_run(run_id).info.run_name == "from-tag"
    tracking.rpc.SetTag(pb.SetTagRequest(run_id=run_id, key=tag.key, value="b"))
    assert tracking.get_run(run_id).info.run_name == "b"
    tracking.rpc.UpdateRun(pb.UpdateRunRequest(run_id=run_id, run_name="c"))
    assert tags_of(tracking.get_run(run_id)) == {"mlflow.runName": "c"}
    with refused("INVALID_PARAMETER_VALUE", "different values"):
        tracking.create_run(run_name="x", tags=[tag])
    with refused("INVALID_PARAMETER_VALUE", "blank"):
        tracking.rpc.SetTag(pb.SetTagRequest(run_id=run_id, key=tag.key, value=" "))
    with refused("INVALID_PARAMETER_VALUE", "251 characters"):
        tracking.rpc.SetTag(pb.SetTagRequest(run_id=run_id, key=tag.key, value="x" * 251))


def test_run_uuid_is_accepted_for_run_id(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    assert tracking.rpc.GetRun(pb.GetRunRequest(run_uuid=run_id)).run.info.run_id == run_id
    both = pb.GetRunRequest(run_uuid=run_id, run_id=run_id)
    assert tracking.rpc.GetRun(both).run.info.run_id == run_id
    with refused("INVALID_PARAMETER_VALUE", "Missing value for required parameter 'run_id'"):
        tracking.rpc.GetRun(pb.GetRunRequest())
    with refused("INVALID_PARAMETER_VALUE", "differ"):
        tracking.rpc.GetRun(pb.GetRunRequest(run_id="a", run_uuid="b"))


@BEFORE_SQL
@pytest.mark.parametrize("run_id", ["../x", "é"])
def test_a_malformed_run_id_is_refused(tracking: Tracking, run_id: str) -> None:
    with refused("INVALID_PARAMETER_VALUE", "Invalid run ID", run_id):
        tracking.get_run(run_id)


def test_an_unknown_run_is_not_found(tracking: Tracking) -> None:
    with refused("RESOURCE_DOES_NOT_EXIST", "Run with id=nobody not found"):
        tracking.get_run("nobody")
    with refused("RESOURCE_DOES_NOT_EXIST", "nobody"):
        tracking.rpc.LogParam(pb.LogParamRequest(run_id="nobody", key="a", value="1"))


def test_a_run_ends_with_status_and_time(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    info = tracking.rpc.UpdateRun(
        pb.UpdateRunRequest(run_id=run_id, status=pb.FINISHED, end_time=5)
    ).run_info
    assert (info.status, info.end_time) == (pb.FINISHED, 5)
    tracking.rpc.UpdateRun(pb.UpdateRunRequest(run_id=run_id, run_name="b"))
    assert tracking.get_run(run_id).info.status == pb.FINISHED
    with refused("INVALID_PARAMETER_VALUE", "end_time"):
        tracking.rpc.UpdateRun(pb.UpdateRunRequest(run_id=run_id, end_time=-1))


def test_every_write_changes_the_etag_and_a_stale_one_is_refused(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    etag = tracking.get_run(run_id).etag
    tracking.rpc.LogMetric(pb.LogMetricRequest(run_id=run_id, key="a", value=1.0))
    assert tracking.get_run(run_id).etag != etag
    with refused("ABORTED"):
        tracking.rpc.UpdateRun(pb.UpdateRunRequest(run_id=run_id, run_name="b", etag=etag))
    assert tracking.get_run(run_id).info.run_name != "b"


def test_params_never_change(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    request = pb.LogParamRequest(run_id=run_id, key="a", value="1")
    tracking.rpc.LogParam(request)
    tracking.rpc.LogParam(request)
    with refused(
        "INVALID_PARAMETER_VALUE",
        "Changing param values is not allowed. Param with key='a' was already logged with "
        f"value='1' for run ID='{run_id}'. Attempted logging new value '2'.",
    ):
        tracking.rpc.LogParam(pb.LogParamRequest(run_id=run_id, key="a", value="2"))
    params = tracking.get_run(run_id).data.params
    assert [(param.key, param.value) for param in params] == [("a", "1")]


def test_tags_are_changed_and_deleted(tracking: Tracking) -> None:
    run_id = tracking.create_run(run_name="n")
    for value in ("1", "2"):
        tracking.rpc.SetTag(pb.SetTagRequest(run_id=run_id, key="a", value=value))
    assert tags_of(tracking.get_run(run_id)) == {"a": "2", "mlflow.runName": "n"}
    tracking.rpc.DeleteTag(pb.DeleteTagRequest(run_id=run_id, key="a"))
    with refused("RESOURCE_DOES_NOT_EXIST", "No tag with name: a"):
        tracking.rpc.DeleteTag(pb.DeleteTagRequest(run_id=run_id, key="a"))


@BEFORE_SQL
@pytest.mark.parametrize("key", ["", "a//b", "ä*", "k" * 251])
def test_a_key_that_is_no_relative_path_is_refused(tracking: Tracking, key: str) -> None:
    run_id = tracking.create_run()
    with refused("INVALID_PARAMETER_VALUE", "key"):
        tracking.rpc.LogParam(pb.LogParamRequest(run_id=run_id, key=key, value="1"))
    with refused("INVALID_PARAMETER_VALUE", "key"):
        tracking.rpc.SetTag(pb.SetTagRequest(run_id=run_id, key=key, value="1"))
    with refused("INVALID_PARAMETER_VALUE", "key"):
        tracking.rpc.LogMetric(pb.LogMetricRequest(run_id=run_id, key=key, value=1.0))


@pytest.mark.parametrize("key", ["a/b", "a b", "a:b", "a-b_c.d", "ümlaut"])
def test_keys_of_paths_and_words_are_accepted(tracking: Tracking, key: str) -> None:
    run_id = tracking.create_run()
    tracking.rpc.LogParam(pb.LogParamRequest(run_id=run_id, key=key, value=""))
    assert tracking.get_run(run_id).data.params[0].key == key


def test_a_deleted_run_is_read_but_not_written(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    for _ in range(2):
        tracking.rpc.DeleteRun(pb.DeleteRunRequest(run_id=run_id))
    assert tracking.get_run(run_id).info.lifecycle_stage == "deleted"
    writes = [
        (tracking.rpc.LogParam, pb.LogParamRequest(run_id=run_id, key="a", value="1")),
        (tracking.rpc.LogMetric, pb.LogMetricRequest(run_id=run_id, key="a", value=1.0)),
        (tracking.rpc.SetTag, pb.SetTagRequest(run_id=run_id, key="a", value="1")),
        (tracking.rpc.LogBatch, pb.LogBatchRequest(run_id=run_id)),
        (tracking.rpc.UpdateRun, pb.UpdateRunRequest(run_id=run_id, run_name="x")),
        (tracking.rpc.LogInputs, pb.LogInputsRequest(run_id=run_id)),
        (tracking.rpc.LogOutputs, pb.LogOutputsRequest(run_id=run_id)),
    ]
    for write, request in writes:
        with refused("INVALID_STATE", f"The run {run_id} must be in the 'active' state"):
            write(request)
    for _ in range(2):
        tracking.rpc.RestoreRun(pb.RestoreRunRequest(run_id=run_id))
    assert tracking.get_run(run_id).info.lifecycle_stage == "active"


def test_a_run_of_a_deleted_experiment_cannot_be_restored_alone(tracking: Tracking) -> None:
    reply = tracking.rpc.CreateExperiment(pb.CreateExperimentRequest(name="a"))
    run_id = tracking.create_run(reply.experiment_id)
    tracking.rpc.DeleteExperiment(pb.DeleteExperimentRequest(experiment_id=reply.experiment_id))
    with refused("INVALID_STATE", "restore the experiment first"):
        tracking.rpc.RestoreRun(pb.RestoreRunRequest(run_id=run_id))


def test_inputs_and_outputs_are_recorded_once(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id)
    dataset = pb.Dataset(name="iris", digest="d1", source_type="local", source="{}")
    request = pb.LogInputsRequest(
        run_id=run_id,
        datasets=[
            pb.DatasetInput(
                dataset=dataset, tags=[pb.InputTag(key="mlflow.data.context", value="train")]
            )
        ],
        models=[pb.ModelInput(model_id=model_id)],
    )
    outputs = pb.LogOutputsRequest(
        run_id=run_id, models=[pb.ModelOutput(model_id=model_id, step=3)]
    )
    for _ in range(2):
        tracking.rpc.LogInputs(request)
        tracking.rpc.LogOutputs(outputs)
    run = tracking.get_run(run_id)
    assert list(run.inputs.dataset_inputs) == list(request.datasets)
    assert list(run.inputs.model_inputs) == list(request.models)
    assert list(run.outputs.model_outputs) == list(outputs.models)


def test_an_unknown_model_is_neither_input_nor_output(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    missing = "m-" + "0" * 32
    with refused("RESOURCE_DOES_NOT_EXIST", missing):
        tracking.rpc.LogInputs(
            pb.LogInputsRequest(run_id=run_id, models=[pb.ModelInput(model_id=missing)])
        )
    with refused("RESOURCE_DOES_NOT_EXIST", missing):
        tracking.rpc.LogOutputs(
            pb.LogOutputsRequest(run_id=run_id, models=[pb.ModelOutput(model_id=missing)])
        )
