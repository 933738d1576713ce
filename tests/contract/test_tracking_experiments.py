import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.rpc.grpc_errors import error_info


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def create(tracking: Tracking, name: str) -> str:
    reply = tracking.rpc.CreateExperiment(pb.CreateExperimentRequest(name=name))
    return str(reply.experiment_id)


def get(tracking: Tracking, experiment_id: str) -> pb.Experiment:
    request = pb.GetExperimentRequest(experiment_id=experiment_id)
    found: pb.Experiment = tracking.rpc.GetExperiment(request).experiment
    return found


def delete(tracking: Tracking, experiment_id: str) -> None:
    tracking.rpc.DeleteExperiment(pb.DeleteExperimentRequest(experiment_id=experiment_id))


def restore(tracking: Tracking, experiment_id: str) -> None:
    tracking.rpc.RestoreExperiment(pb.RestoreExperimentRequest(experiment_id=experiment_id))


def test_a_fresh_database_has_the_default_experiment(tracking: Tracking) -> None:
    default = get(tracking, "0")
    assert (default.name, default.lifecycle_stage) == ("Default", "active")
    assert default.artifact_location == "mlflow-artifacts:/0"


def test_experiment_ids_are_counted_from_one(tracking: Tracking) -> None:
    assert [create(tracking, name) for name in ("a", "b")] == ["1", "2"]


def test_an_experiment_is_found_by_id_and_by_name(tracking: Tracking) -> None:
    reply = tracking.rpc.CreateExperiment(
        pb.CreateExperimentRequest(name="iris", tags=[pb.ExperimentTag(key="team", value="plants")])
    )
    by_id = get(tracking, reply.experiment_id)
    by_name = tracking.rpc.GetExperimentByName(
        pb.GetExperimentByNameRequest(experiment_name="iris")
    ).experiment
    assert by_id == by_name
    assert [(tag.key, tag.value) for tag in by_id.tags] == [("team", "plants")]


@pytest.mark.parametrize("location", ["", "mlflow-artifacts:/", "mlflow-artifacts:/1"])
def test_our_own_artifact_location_is_accepted(tracking: Tracking, location: str) -> None:
    request = pb.CreateExperimentRequest(name="a", artifact_location=location)
    assert tracking.rpc.CreateExperiment(request).experiment_id == "1"


@BEFORE_SQL
@pytest.mark.parametrize(
    "location", ["s3://bucket/x", "/srv/x", "file:///etc", "mlflow-artifacts:/2", "runs:/x"]
)
def test_another_artifact_location_is_refused_and_nothing_is_created(
    tracking: Tracking, location: str
) -> None:
    with refused("INVALID_PARAMETER_VALUE", location, "leave it empty"):
        tracking.rpc.CreateExperiment(
            pb.CreateExperimentRequest(name="a", artifact_location=location)
        )
    with refused("RESOURCE_DOES_NOT_EXIST"):
        tracking.rpc.GetExperimentByName(pb.GetExperimentByNameRequest(experiment_name="a"))


@pytest.mark.parametrize("name", ["", " ", "x" * 501, "nul\0"])
def test_an_invalid_name_is_refused(tracking: Tracking, name: str) -> None:
    with refused("INVALID_PARAMETER_VALUE"):
        create(tracking, name)


@BEFORE_SQL
@pytest.mark.parametrize("experiment_id", ["abc", "9" * 30])
def test_an_id_that_is_no_decimal_number_is_refused(tracking: Tracking, experiment_id: str) -> None:
    with refused("INVALID_PARAMETER_VALUE", experiment_id):
        get(tracking, experiment_id)


def test_an_unknown_experiment_is_not_found(tracking: Tracking) -> None:
    with refused("RESOURCE_DOES_NOT_EXIST", "No Experiment with id=7 exists"):
        get(tracking, "7")
    with refused("RESOURCE_DOES_NOT_EXIST", "nobody"):
        tracking.rpc.GetExperimentByName(pb.GetExperimentByNameRequest(experiment_name="nobody"))


def test_a_taken_name_is_refused_even_when_its_experiment_is_deleted(tracking: Tracking) -> None:
    taken = create(tracking, "a")
    with refused("RESOURCE_ALREADY_EXISTS", "Experiment(name=a) already exists."):
        create(tracking, "a")
    delete(tracking, taken)
    with refused("RESOURCE_ALREADY_EXISTS", "It is deleted", f"id {taken}"):
        create(tracking, "a")


def test_restoring_brings_back_the_runs_deleted_with_the_experiment_only(
    tracking: Tracking,
) -> None:
    experiment_id = create(tracking, "a")
    kept, deleted_run = (tracking.create_run(experiment_id) for _ in range(2))
    tracking.rpc.DeleteRun(pb.DeleteRunRequest(run_id=deleted_run))
    delete(tracking, experiment_id)
    assert get(tracking, experiment_id).lifecycle_stage == "deleted"
    assert tracking.get_run(kept).info.lifecycle_stage == "deleted"
    restore(tracking, experiment_id)
    assert get(tracking, experiment_id).lifecycle_stage == "active"
    assert tracking.get_run(kept).info.lifecycle_stage == "active"
    assert tracking.get_run(deleted_run).info.lifecycle_stage == "deleted"


def test_deleting_or_restoring_twice_is_not_found(tracking: Tracking) -> None:
    experiment_id = create(tracking, "a")
    with refused("RESOURCE_DOES_NOT_EXIST", "it is active"):
        restore(tracking, experiment_id)
    delete(tracking, experiment_id)
    with refused("RESOURCE_DOES_NOT_EXIST", "deleted already"):
        delete(tracking, experiment_id)


def test_a_deleted_experiment_takes_no_writes(tracking: Tracking) -> None:
    experiment_id = create(tracking, "a")
    delete(tracking, experiment_id)
    state = "Current state is deleted"
    with refused("INVALID_STATE", state):
        tracking.create_run(experiment_id)
    with refused("INVALID_STATE", state):
        tracking.rpc.UpdateExperiment(
            pb.UpdateExperimentRequest(experiment_id=experiment_id, new_name="b")
        )
    with refused("INVALID_STATE", state):
        tracking.rpc.SetExperimentTag(
            pb.SetExperimentTagRequest(experiment_id=experiment_id, key="k", value="v")
        )
    with refused("INVALID_STATE", state):
        tracking.rpc.CreateLoggedModel(pb.CreateLoggedModelRequest(experiment_id=experiment_id))


def test_renaming_checks_the_etag_and_the_name(tracking: Tracking) -> None:
    experiment_id = create(tracking, "a")
    read = get(tracking, experiment_id)
    tracking.rpc.UpdateExperiment(
        pb.UpdateExperimentRequest(experiment_id=experiment_id, new_name="b", etag=read.etag)
    )
    assert get(tracking, experiment_id).name == "b"
    with refused("ABORTED", "Etag mismatch: the current etag of the experiment"):
        tracking.rpc.UpdateExperiment(
            pb.UpdateExperimentRequest(experiment_id=experiment_id, new_name="c", etag=read.etag)
        )
    with refused("RESOURCE_ALREADY_EXISTS", "Default"):
        tracking.rpc.UpdateExperiment(
            pb.UpdateExperimentRequest(experiment_id=experiment_id, new_name="Default")
        )


def test_tags_are_overwritten_and_deleted(tracking: Tracking) -> None:
    for value in ("1", "2"):
        tracking.rpc.SetExperimentTag(
            pb.SetExperimentTagRequest(experiment_id="0", key="k", value=value)
        )
    assert [(tag.key, tag.value) for tag in get(tracking, "0").tags] == [("k", "2")]
    request = pb.DeleteExperimentTagRequest(experiment_id="0", key="k")
    tracking.rpc.DeleteExperimentTag(request)
    assert not get(tracking, "0").tags
    with refused("RESOURCE_DOES_NOT_EXIST", "No tag with name: k"):
        tracking.rpc.DeleteExperimentTag(request)


def test_a_retry_with_its_key_creates_one_experiment(tracking: Tracking) -> None:
    request = pb.CreateExperimentRequest(name="once")
    metadata = (("idempotency-key", "one"),)
    first = tracking.rpc.CreateExperiment(request, metadata=metadata)
    assert tracking.rpc.CreateExperiment(request, metadata=metadata) == first
    with refused("INVALID_PARAMETER_VALUE", "idempotency key"):
        tracking.rpc.CreateExperiment(pb.CreateExperimentRequest(name="two"), metadata=metadata)


def test_of_concurrent_creations_of_one_experiment_one_succeeds(tracking: Tracking) -> None:
    together = threading.Barrier(8)

    def attempt(_index: int) -> str:
        together.wait()
        try:
            create(tracking, "wanted")
        except grpc.RpcError as error:
            info = error_info(error)
            assert info is not None
            return info.reason
        return "created"

    with ThreadPoolExecutor(8) as threads:
        answers = sorted(threads.map(attempt, range(8)))
    assert answers == ["RESOURCE_ALREADY_EXISTS"] * 7 + ["created"]
