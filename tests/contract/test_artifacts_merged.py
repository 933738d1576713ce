"""The tree of a run below the name of a logged model: the model's files, and the run's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.tracking_service import Tracking, refused, tracking_at

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard_kit.artifacts import Manifest

MODEL = {"MLmodel": b"of model", "data/weights": b"of model"}
BESIDE = {"model/features.json": b"of run", "model/data/notes.md": b"of run"}
# A path of both, a file where the model has a folder, files where the model has a file, and a file
# in place of the model itself.
CLASHES = [
    {"model/MLmodel": b"of run"},
    {"model/data": b"of run"},
    {"model/MLmodel/below": b"of run"},
    {"model": b"of run"},
]
MERGED = {"MLmodel", "data/notes.md", "data/weights", "features.json"}


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def files(tracking: Tracking, path: str = "", **owner: Any) -> dict[str, int]:
    reply = tracking.artifacts.GetArtifacts(pb.GetArtifactsRequest(path=path, **owner))
    return {file.path: file.size_bytes for file in reply.files}


def listed(tracking: Tracking, run_id: str, path: str) -> list[str]:
    reply = tracking.artifacts.ListArtifacts(pb.ListArtifactsRequest(run_id=run_id, path=path))
    return [file.path for file in reply.files]


def sealed(tracking: Tracking, path: str = "", **owner: str) -> pb.SealManifestResponse:
    reply: pb.SealManifestResponse = tracking.artifacts.SealManifest(
        pb.SealManifestRequest(path=path, **owner)
    )
    return reply


def paths_of(reply: pb.SealManifestResponse) -> set[str]:
    return {file.path for file in Manifest.from_bytes(reply.manifest).files}


@pytest.mark.parametrize("order", ["run first", "model first"])
def test_files_beside_a_model_are_merged_with_it_in_every_reply(
    tracking: Tracking, order: str
) -> None:
    run_id = tracking.create_run()
    if order == "run first":
        tracking.log_files(BESIDE, run_id=run_id)
    model_id = tracking.create_model(run_id)
    tracking.log_files(MODEL, model_id=model_id)
    if order == "model first":
        tracking.log_files(BESIDE, run_id=run_id)

    assert listed(tracking, run_id, "") == ["model"]
    assert listed(tracking, run_id, "model") == [
        "model/MLmodel",
        "model/data",
        "model/features.json",
    ]
    assert set(files(tracking, run_id=run_id)) == {f"model/{path}" for path in MERGED}
    assert list(files(tracking, "model/data", run_id=run_id)) == [
        "model/data/notes.md",
        "model/data/weights",
    ]
    assert set(files(tracking, model_id=model_id)) == MERGED
    by_run, by_model = sealed(tracking, "model", run_id=run_id), sealed(tracking, model_id=model_id)
    assert by_run == by_model
    assert paths_of(by_run) == MERGED
    assert (by_run.run_id, by_run.model_id) == (run_id, model_id)


@pytest.mark.parametrize("clash", CLASHES, ids=lambda files: next(iter(files)))
@pytest.mark.parametrize("order", ["run first", "model first"])
def test_the_models_file_wins_where_the_run_has_the_same_path(
    tracking: Tracking, clash: dict[str, bytes], order: str
) -> None:
    run_id = tracking.create_run()
    if order == "run first":
        tracking.log_files(clash, run_id=run_id)
    model_id = tracking.create_model(run_id)
    tracking.log_files(MODEL, model_id=model_id)
    if order == "model first":
        tracking.log_files(clash, run_id=run_id)

    whole = {"model/MLmodel": 8, "model/data/weights": 8}
    assert files(tracking, run_id=run_id) == whole
    for path, size_bytes in whole.items():
        assert files(tracking, path, run_id=run_id) == {path: size_bytes}
    if (hidden := next(iter(clash))) not in {"model", "model/data", "model/MLmodel"}:
        with refused("RESOURCE_DOES_NOT_EXIST", hidden):
            files(tracking, hidden, run_id=run_id)
    assert listed(tracking, run_id, "model") == ["model/MLmodel", "model/data"]
    assert sealed(tracking, "model", run_id=run_id) == sealed(tracking, model_id=model_id)
    tracking.rpc.DeleteLoggedModel(tracking_pb2.DeleteLoggedModelRequest(model_id=model_id))
    assert files(tracking, run_id=run_id) == {next(iter(clash)): 6}


def test_files_beside_two_models_of_one_name_belong_to_both(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    older, newer = tracking.create_model(run_id), tracking.create_model(run_id)
    tracking.log_files({"MLmodel": b"old", "old": b""}, model_id=older)
    tracking.log_files({"MLmodel": b"new", "new": b""}, model_id=newer)
    tracking.log_files(BESIDE, run_id=run_id)
    beside = {path.removeprefix("model/") for path in BESIDE}
    assert paths_of(sealed(tracking, model_id=older)) == {"MLmodel", "old"} | beside
    assert sealed(tracking, "model", run_id=run_id) == sealed(tracking, model_id=newer)


def test_files_are_deleted_from_the_owner_that_they_belong_to(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id)
    tracking.log_files(MODEL, model_id=model_id)
    tracking.log_files(BESIDE, run_id=run_id)

    def delete(path: str, **owner: str) -> None:
        tracking.artifacts.DeleteArtifacts(pb.DeleteArtifactsRequest(path=path, **owner))

    with refused("INVALID_PARAMETER_VALUE", run_id, "delete them from the run"):
        delete("features.json", model_id=model_id)
    with refused("INVALID_PARAMETER_VALUE", model_id, "delete them from the logged model"):
        delete("model/MLmodel", run_id=run_id)
    delete("model", run_id=run_id)
    assert set(files(tracking, run_id=run_id)) == {f"model/{path}" for path in MODEL}
    delete("", model_id=model_id)
    with refused("RESOURCE_DOES_NOT_EXIST"):
        files(tracking, run_id=run_id)


def test_files_beside_a_model_that_is_not_finalized_are_not_sealed_in_its_place(
    tracking: Tracking,
) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id, ready=False)
    tracking.log_files(MODEL, model_id=model_id)
    tracking.log_files(BESIDE, run_id=run_id)
    with refused("INVALID_STATE", model_id, "finalize"):
        sealed(tracking, "model", run_id=run_id)
    tracking.log_files({"model/MLmodel": b"of run"}, run_id=run_id)
    assert paths_of(sealed(tracking, "model", run_id=run_id)) >= {"MLmodel", "features.json"}


def set_missing(tracking: Tracking, *paths: str, **owner: str) -> None:
    files = [pb.MissingFile(path=path, reason="out of reach") for path in paths]
    tracking.artifacts.SetMissingArtifacts(pb.SetMissingArtifactsRequest(files=files, **owner))


def message_of(tracking: Tracking, model_id: str) -> str:
    request = tracking_pb2.GetLoggedModelRequest(model_id=model_id)
    found = tracking.rpc.GetLoggedModel(request)
    return str(found.model.info.status_message)


def test_a_folder_that_lacks_files_since_an_import_is_not_sealed_until_they_are_there(
    tracking: Tracking,
) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a/MLmodel": b"a", "b/MLmodel": b"b"}, run_id=run_id)
    set_missing(tracking, "a/weights", "c", run_id=run_id)
    with refused("INVALID_STATE", "1 file is missing: 'a/weights' (out of reach)"):
        sealed(tracking, "a", run_id=run_id)
    with refused("INVALID_STATE", "2 files are missing"):
        sealed(tracking, run_id=run_id)
    assert paths_of(sealed(tracking, "b", run_id=run_id)) == {"MLmodel"}
    tracking.log_files({"a/weights": b"w"}, run_id=run_id)
    assert paths_of(sealed(tracking, "a", run_id=run_id)) == {"MLmodel", "weights"}
    tracking.artifacts.DeleteArtifacts(pb.DeleteArtifactsRequest(run_id=run_id, path="c"))
    assert len(paths_of(sealed(tracking, run_id=run_id))) == 3
    set_missing(tracking, "", run_id=run_id)
    with refused("INVALID_STATE", "is not whole: out of reach"):
        sealed(tracking, "b", run_id=run_id)
    set_missing(tracking, run_id=run_id)
    assert paths_of(sealed(tracking, "b", run_id=run_id)) == {"MLmodel"}


def test_a_logged_model_that_lacks_files_shows_it_and_is_not_sealed(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id)
    tracking.log_files(MODEL, model_id=model_id)
    set_missing(tracking, "vocab", model_id=model_id)
    assert message_of(tracking, model_id) == (
        "Not whole: 1 file is missing: 'vocab' (out of reach)."
    )
    for owner in ({"model_id": model_id}, {"run_id": run_id, "path": "model"}):
        with refused("INVALID_STATE", "'vocab' (out of reach)"):
            tracking.artifacts.SealManifest(pb.SealManifestRequest(**owner))
    set_missing(tracking, model_id=model_id)
    set_missing(tracking, "model/notes", run_id=run_id)
    with refused("INVALID_STATE", "'model/notes'"):
        sealed(tracking, model_id=model_id)
    set_missing(tracking, "other", run_id=run_id)
    assert message_of(tracking, model_id) == ""
    assert sealed(tracking, model_id=model_id) == sealed(tracking, "model", run_id=run_id)
    with refused("INVALID_PARAMETER_VALUE", "Duplicate path"):
        set_missing(tracking, "a", "a", run_id=run_id)
