"""Checks for write access, deletion of files, and owners named with their experiment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.tracking_service import Tracking, file_message, refused, tracking_at

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.tracking.v1 import tracking_pb2


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def paths(tracking: Tracking, **owner: Any) -> list[str]:
    reply = tracking.artifacts.GetArtifacts(pb.GetArtifactsRequest(**owner))
    return [file.path for file in reply.files]


def delete(tracking: Tracking, path: str = "", **owner: str) -> None:
    tracking.artifacts.DeleteArtifacts(pb.DeleteArtifactsRequest(path=path, **owner))


def check_writable(tracking: Tracking, **owner: Any) -> pb.CheckArtifactsWritableResponse:
    reply: pb.CheckArtifactsWritableResponse = tracking.artifacts.CheckArtifactsWritable(
        pb.CheckArtifactsWritableRequest(**owner)
    )
    return reply


def test_a_tree_is_writable_until_its_owner_is_deleted(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    assert check_writable(tracking, run_id=run_id) == pb.CheckArtifactsWritableResponse()

    tracking.rpc.DeleteRun(tracking_pb2.DeleteRunRequest(run_id=run_id))
    with refused("INVALID_STATE", "deleted"):
        check_writable(tracking, run_id=run_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        check_writable(tracking, run_id="nobody")
    with refused("INVALID_PARAMETER_VALUE", "exactly one of run_id and model_id"):
        check_writable(tracking)


def test_declaring_no_files_is_refused(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    with refused("INVALID_PARAMETER_VALUE", "Missing value for required parameter 'files'"):
        tracking.artifacts.DeclareArtifacts(pb.DeclareArtifactsRequest(run_id=run_id))


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("a/b.txt", ["a-b", "a/c/d.txt", "a0", "e.txt"]),
        ("a", ["a-b", "a0", "e.txt"]),
        ("a/c", ["a-b", "a/b.txt", "a0", "e.txt"]),
    ],
)
def test_files_at_or_below_a_path_are_deleted(
    tracking: Tracking, path: str, left: list[str]
) -> None:
    run_id, other = tracking.create_run(), tracking.create_run()
    names = ["a-b", "a/b.txt", "a/c/d.txt", "a0", "e.txt"]
    for owner in (run_id, other):
        tracking.log_files({name: name.encode() for name in names}, run_id=owner)

    delete(tracking, path, run_id=run_id)

    assert paths(tracking, run_id=run_id) == left
    assert paths(tracking, run_id=other) == names


def test_without_a_path_the_whole_tree_is_emptied(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a/b.txt": b"b", "c.txt": b"c"}, run_id=run_id)
    delete(tracking, run_id=run_id)
    with refused("RESOURCE_DOES_NOT_EXIST", "There are no artifacts"):
        paths(tracking, run_id=run_id)


def test_a_deleted_path_can_be_reused_as_file_or_folder(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a/b.txt": b"b"}, run_id=run_id)
    delete(tracking, "a", run_id=run_id)
    tracking.log_files({"a": b"now a file"}, run_id=run_id)
    assert paths(tracking, run_id=run_id) == ["a"]


def test_deleting_a_missing_path_is_not_found(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    with refused("RESOURCE_DOES_NOT_EXIST", "no artifacts at 'nowhere'"):
        delete(tracking, "nowhere", run_id=run_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        delete(tracking, "", run_id="nobody")
    with refused("INVALID_PARAMETER_VALUE", "exactly one"):
        delete(tracking, "")


def test_a_path_outside_the_grammar_deletes_nothing(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a.txt": b"a"}, run_id=run_id)
    for path in ("../a.txt", "a/../a.txt", "/", "a//b", "a/."):
        with refused("INVALID_PARAMETER_VALUE", "Invalid artifact path"):
            delete(tracking, path, run_id=run_id)
    assert paths(tracking, run_id=run_id) == ["a.txt"]


def test_a_deleted_run_loses_no_files(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a.txt": b"a"}, run_id=run_id)
    tracking.rpc.DeleteRun(tracking_pb2.DeleteRunRequest(run_id=run_id))
    with refused("INVALID_STATE", "deleted"):
        delete(tracking, "a.txt", run_id=run_id)
    assert paths(tracking, run_id=run_id) == ["a.txt"]


def test_the_files_of_a_logged_model_are_not_deleted_by_its_run(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id)
    tracking.log_files({"MLmodel": b"m"}, model_id=model_id)
    with refused("INVALID_PARAMETER_VALUE", model_id, "delete them from the logged model"):
        delete(tracking, "model", run_id=run_id)
    delete(tracking, "MLmodel", model_id=model_id)
    with refused("RESOURCE_DOES_NOT_EXIST", "There are no artifacts"):
        paths(tracking, model_id=model_id)


def test_a_sealed_manifest_outlives_the_files_it_lists(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"model/MLmodel": b"m"}, run_id=run_id)
    request = pb.SealManifestRequest(run_id=run_id, path="model")
    sealed = tracking.artifacts.SealManifest(request)
    delete(tracking, "", run_id=run_id)
    with tracking.store.open(sealed.digest) as chunks:
        assert b"".join(chunks) == sealed.manifest


@pytest.mark.parametrize("experiment_id", ["1", "00", "nonsense"])
def test_an_owner_of_another_experiment_counts_as_missing(
    tracking: Tracking, experiment_id: str
) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id)
    tracking.log_files({"a.txt": b"a"}, run_id=run_id)
    tracking.log_files({"a.txt": b"a"}, model_id=model_id)
    files = [file_message("b.txt", b"a")]
    calls = tracking.artifacts
    for owner in ({"run_id": run_id}, {"model_id": model_id}):
        where: dict[str, Any] = {**owner, "experiment_id": experiment_id}
        with refused("RESOURCE_DOES_NOT_EXIST", f"in experiment '{experiment_id}'"):
            calls.GetArtifacts(pb.GetArtifactsRequest(**where))
        with refused("RESOURCE_DOES_NOT_EXIST"):
            calls.CheckArtifactsWritable(pb.CheckArtifactsWritableRequest(**where))
        with refused("RESOURCE_DOES_NOT_EXIST"):
            calls.DeclareArtifacts(pb.DeclareArtifactsRequest(**where, files=files))
        with refused("RESOURCE_DOES_NOT_EXIST"):
            calls.DeleteArtifacts(pb.DeleteArtifactsRequest(**where))
        assert paths(tracking, **owner, experiment_id="0")
    with refused("RESOURCE_DOES_NOT_EXIST"):
        calls.ListArtifacts(pb.ListArtifactsRequest(run_id=run_id, experiment_id=experiment_id))
    with refused("RESOURCE_DOES_NOT_EXIST"):
        calls.ListLoggedModelArtifacts(
            pb.ListLoggedModelArtifactsRequest(model_id=model_id, experiment_id=experiment_id)
        )
