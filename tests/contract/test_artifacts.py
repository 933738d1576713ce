import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.dialects import BEFORE_SQL, Dialect
from tests.support.platforms.tracking_service import (
    START_MS,
    Tracking,
    file_message,
    refused,
    tracking_at,
)

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard_kit.artifacts import Digest, Manifest

MIB = 1024 * 1024
HOUR_MS = 60 * 60 * 1000
MODEL_FILES = {"MLmodel": b"flavors: {}", "data/model.skops": b"weights"}


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def listed(tracking: Tracking, run_id: str, path: str = "") -> dict[str, int | None]:
    """Sizes by path, None for a folder."""
    reply = tracking.artifacts.ListArtifacts(pb.ListArtifactsRequest(run_id=run_id, path=path))
    return {file.path: None if file.is_dir else file.file_size for file in reply.files}


def seal(tracking: Tracking, path: str = "", **owner: str) -> pb.SealManifestResponse:
    request = pb.SealManifestRequest(path=path, **owner)
    sealed: pb.SealManifestResponse = tracking.artifacts.SealManifest(request)
    return sealed


def test_declaring_asks_for_the_missing_objects_only(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"old.txt": b"there"}, run_id=run_id)
    files = [file_message("a.txt", b"there"), file_message("b.txt", b"new")]
    reply = tracking.artifacts.DeclareArtifacts(
        pb.DeclareArtifactsRequest(run_id=run_id, files=files)
    )
    assert [upload.digest for upload in reply.uploads] == [Digest.of(b"new")]
    assert reply.uploads[0].size_bytes == 3
    assert reply.uploads[0].url.startswith("http://store.test/")
    assert reply.expire_time.ToMilliseconds() >= START_MS + HOUR_MS


def test_committed_files_are_listed_level_by_level(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a/b/c.txt": b"c", "a/d.txt": b"dd", "e.txt": b""}, run_id=run_id)
    assert listed(tracking, run_id) == {"a": None, "e.txt": 0}
    assert listed(tracking, run_id, "a") == {"a/b": None, "a/d.txt": 2}
    assert listed(tracking, run_id, "a/b") == {"a/b/c.txt": 1}
    assert listed(tracking, run_id, "e.txt") == {}
    assert listed(tracking, run_id, "nowhere") == {}


def test_a_listing_names_its_root(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    reply = tracking.artifacts.ListArtifacts(pb.ListArtifactsRequest(run_uuid=run_id))
    assert reply.root_uri == f"mlflow-artifacts:/0/{run_id}/artifacts"
    with refused("RESOURCE_DOES_NOT_EXIST", "nobody"):
        listed(tracking, "nobody")


def test_a_large_folder_is_listed_in_pages(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({f"f{n:04}": b"x" for n in range(999)}, run_id=run_id)
    tracking.log_files({f"g{n}": b"x" for n in range(2)}, run_id=run_id)
    request = pb.ListArtifactsRequest(run_id=run_id)
    first = tracking.artifacts.ListArtifacts(request)
    request.page_token = first.next_page_token
    second = tracking.artifacts.ListArtifacts(request)
    assert [len(first.files), len(second.files), second.next_page_token] == [1000, 1, ""]
    assert second.files[0].path == "g1"
    request.path = "other"
    with refused("INVALID_PARAMETER_VALUE", "page_token"):
        tracking.artifacts.ListArtifacts(request)


def test_missing_bytes_refuse_the_whole_commit(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    files = [file_message("a.txt", b"there"), file_message("b.txt", b"missing")]
    tracking.store.put(Digest.of(b"there"), [b"there"], 5)
    with refused("INVALID_STATE", "'b.txt'", Digest.of(b"missing")):
        tracking.artifacts.CommitArtifacts(pb.CommitArtifactsRequest(run_id=run_id, files=files))
    assert listed(tracking, run_id) == {}


def test_a_size_that_is_not_the_objects_is_refused(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a.txt": b"there"}, run_id=run_id)
    wrong = pb.ArtifactFile(path="b.txt", digest=Digest.of(b"there"), size_bytes=6)
    with refused("INVALID_PARAMETER_VALUE", "has 5 bytes, not 6"):
        tracking.artifacts.CommitArtifacts(pb.CommitArtifactsRequest(run_id=run_id, files=[wrong]))


def test_a_file_is_replaced_by_a_later_commit(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a.txt": b"one", "b.txt": b"b"}, run_id=run_id)
    tracking.log_files({"a.txt": b"three"}, run_id=run_id)
    assert listed(tracking, run_id) == {"a.txt": 5, "b.txt": 1}


@pytest.mark.parametrize(
    ("present", "added"),
    [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c/d"), ("a/b/c/d", "a/b")],
)
def test_a_file_cannot_also_be_a_folder(tracking: Tracking, present: str, added: str) -> None:
    run_id = tracking.create_run()
    tracking.log_files({present: b"x"}, run_id=run_id)
    with refused("INVALID_PARAMETER_VALUE", "both a file and a folder"):
        tracking.log_files({added: b"y"}, run_id=run_id)
    with refused("INVALID_PARAMETER_VALUE", "both a file and a folder"):
        tracking.log_files(
            {present + "z": b"y", added + "z": b"y", added + "z/q": b"y"}, run_id=run_id
        )
    assert seal(tracking, run_id=run_id).manifest.count(b'"path"') == 1


def test_of_many_files_the_one_that_is_a_folder_is_named(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"f150/a/b": b"x"}, run_id=run_id)
    many = {f"f{number}": b"y" for number in range(200)}
    with refused("INVALID_PARAMETER_VALUE", "The path 'f150' would be both a file and a folder"):
        tracking.log_files(many, run_id=run_id)
    del many["f150"]
    tracking.log_files(many, run_id=run_id)
    assert len(listed(tracking, run_id)) == 200


def test_names_that_sort_between_a_folder_and_its_files_are_no_clash(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a-b": b"1", "a/b": b"2", "a0": b"3", "a.b": b"4"}, run_id=run_id)
    assert listed(tracking, run_id, "a") == {"a/b": 1}
    assert list(listed(tracking, run_id)) == ["a", "a-b", "a.b", "a0"]


@BEFORE_SQL
@pytest.mark.parametrize(
    "path", ["", "../x", "/etc/passwd", "a/../b", "a//b", "a/.", "a/", "x" * 256]
)
def test_a_path_outside_the_grammar_is_refused(tracking: Tracking, path: str) -> None:
    run_id = tracking.create_run()
    files = [file_message(path, b"x")]
    with refused("INVALID_PARAMETER_VALUE", "path"):
        tracking.artifacts.DeclareArtifacts(pb.DeclareArtifactsRequest(run_id=run_id, files=files))
    if path:
        with refused("INVALID_PARAMETER_VALUE", "path"):
            listed(tracking, run_id, path)


def part(letter: str, size_bytes: int) -> pb.ArtifactPart:
    return pb.ArtifactPart(digest=letter * 64, size_bytes=size_bytes)


@BEFORE_SQL
@pytest.mark.parametrize(
    ("size_bytes", "parts", "expected"),
    [
        (64 * MIB + 1, [], "2 parts"),
        (64 * MIB + 1, [part("a", 64 * MIB)], "2 parts"),
        (64 * MIB + 1, [part("a", MIB), part("b", 63 * MIB + 1)], "2 parts"),
        (3, [part("a", 3)], "expected none"),
        (-1, [], "negative"),
    ],
)
def test_parts_that_are_not_those_of_the_size_are_refused(
    tracking: Tracking, size_bytes: int, parts: list[pb.ArtifactPart], expected: str
) -> None:
    run_id = tracking.create_run()
    file = pb.ArtifactFile(path="big", size_bytes=size_bytes, digest="c" * 64, parts=parts)
    with refused("INVALID_PARAMETER_VALUE", expected):
        tracking.artifacts.DeclareArtifacts(pb.DeclareArtifactsRequest(run_id=run_id, files=[file]))


@BEFORE_SQL
@pytest.mark.parametrize("digest", ["", "abc", "A" * 64, "../" + "a" * 61])
def test_a_malformed_digest_is_refused(tracking: Tracking, digest: str) -> None:
    run_id = tracking.create_run()
    file = pb.ArtifactFile(path="a", size_bytes=1, digest=digest)
    with refused("INVALID_PARAMETER_VALUE", "digest"):
        tracking.artifacts.DeclareArtifacts(pb.DeclareArtifactsRequest(run_id=run_id, files=[file]))


def test_a_file_in_parts_keeps_their_order(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    first, last = b"\1" * (64 * MIB), b"\2"
    file = pb.ArtifactFile(
        path="big",
        size_bytes=64 * MIB + 1,
        digest=Digest.of(first + last),
        parts=[
            pb.ArtifactPart(digest=Digest.of(data), size_bytes=len(data)) for data in (first, last)
        ],
    )
    for data in (first, last):
        tracking.store.put(Digest.of(data), [data], len(data))
    tracking.artifacts.CommitArtifacts(pb.CommitArtifactsRequest(run_id=run_id, files=[file]))
    reply = tracking.artifacts.GetArtifacts(pb.GetArtifactsRequest(run_id=run_id, path="big"))
    assert list(reply.files) == [file]
    assert [download.digest for download in reply.downloads] == [p.digest for p in file.parts]


def test_exactly_one_owner_is_needed(tracking: Tracking) -> None:
    model_id = "m-" + "0" * 32
    for owner in ({}, {"run_id": "a", "model_id": model_id}):
        with refused("INVALID_PARAMETER_VALUE", "exactly one of run_id and model_id"):
            seal(tracking, **owner)


def test_files_below_a_path_come_with_download_urls(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a/b": b"1", "a/c": b"1", "d": b"2"}, run_id=run_id)
    reply = tracking.artifacts.GetArtifacts(pb.GetArtifactsRequest(run_id=run_id, path="a"))
    assert [file.path for file in reply.files] == ["a/b", "a/c"]
    assert [download.digest for download in reply.downloads] == [Digest.of(b"1")]
    with refused("RESOURCE_DOES_NOT_EXIST", "'nowhere'", run_id):
        tracking.artifacts.GetArtifacts(pb.GetArtifactsRequest(run_id=run_id, path="nowhere"))


def test_a_sealed_manifest_is_an_object_with_paths_relative_to_the_folder(
    tracking: Tracking,
) -> None:
    run_id = tracking.create_run()
    tracking.log_files({f"model/{path}": data for path, data in MODEL_FILES.items()}, run_id=run_id)
    sealed = seal(tracking, "model", run_id=run_id)
    manifest = Manifest.from_bytes(sealed.manifest)
    assert [file.path for file in manifest.files] == ["MLmodel", "data/model.skops"]
    assert sealed.digest == Digest.of(sealed.manifest) == manifest.digest
    assert tracking.store.has(manifest.digest)
    assert (sealed.run_id, sealed.experiment_id, sealed.model_id) == (run_id, "0", "")
    assert seal(tracking, "model", run_id=run_id) == sealed


def test_a_folder_without_files_cannot_be_sealed(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    with refused("RESOURCE_DOES_NOT_EXIST", "'model'", run_id):
        seal(tracking, "model", run_id=run_id)
    with refused("RESOURCE_DOES_NOT_EXIST", "nobody"):
        seal(tracking, "model", run_id="nobody")
    tracking.log_files({"model": b"a file"}, run_id=run_id)
    with refused("INVALID_PARAMETER_VALUE", "is a file"):
        seal(tracking, "model", run_id=run_id)


def test_a_deleted_run_takes_no_files_and_is_not_sealed(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a": b"1"}, run_id=run_id)
    tracking.rpc.DeleteRun(tracking_pb2.DeleteRunRequest(run_id=run_id))
    with refused("INVALID_STATE", run_id):
        tracking.log_files({"b": b"1"}, run_id=run_id)
    with refused("INVALID_STATE", run_id):
        seal(tracking, run_id=run_id)
    assert listed(tracking, run_id) == {"a": 1}


def test_a_logged_models_files_appear_in_its_runs_tree(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id, ready=False)
    tracking.log_files(MODEL_FILES, model_id=model_id)
    assert listed(tracking, run_id) == {}
    tracking.finalize(model_id)
    assert listed(tracking, run_id) == {"model": None}
    assert listed(tracking, run_id, "model") == {"model/MLmodel": 11, "model/data": None}
    by_run, by_model = seal(tracking, "model", run_id=run_id), seal(tracking, model_id=model_id)
    assert by_run == by_model
    assert (by_run.run_id, by_run.model_id) == (run_id, model_id)
    inside = seal(tracking, "model/data", run_id=run_id)
    assert json.loads(inside.manifest)["files"][0]["path"] == "model.skops"


def test_of_two_models_of_one_name_the_newest_that_is_ready_is_seen(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    sealed = []
    for content in (b"1", b"2"):
        model_id = tracking.create_model(run_id)
        tracking.log_files({"MLmodel": content}, model_id=model_id)
        sealed.append(seal(tracking, "model", run_id=run_id).digest)
    pending = tracking.create_model(run_id, ready=False)
    tracking.log_files({"MLmodel": b"3"}, model_id=pending)
    assert len(set(sealed)) == 2
    assert seal(tracking, "model", run_id=run_id).digest == sealed[1]
    tracking.rpc.DeleteLoggedModel(tracking_pb2.DeleteLoggedModelRequest(model_id=model_id))
    assert seal(tracking, "model", run_id=run_id).digest == sealed[0]


def test_a_model_that_is_not_finalized_cannot_be_sealed(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id, ready=False)
    tracking.log_files(MODEL_FILES, model_id=model_id)
    with refused("INVALID_STATE", model_id, "finalize"):
        seal(tracking, model_id=model_id)
    with refused("INVALID_STATE", model_id, "finalize"):
        seal(tracking, "model", run_id=run_id)


def test_a_models_own_tree_is_listed(tracking: Tracking) -> None:
    model_id = tracking.create_model(tracking.create_run())
    tracking.log_files(MODEL_FILES, model_id=model_id)
    reply = tracking.artifacts.ListLoggedModelArtifacts(
        pb.ListLoggedModelArtifactsRequest(model_id=model_id, artifact_directory_path="data")
    )
    assert reply.root_uri == f"mlflow-artifacts:/0/models/{model_id}/artifacts"
    assert [file.path for file in reply.files] == ["data/model.skops"]


def test_a_tree_whose_bytes_are_gone_is_not_sealed(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a": b"1"}, run_id=run_id)
    tracking.store.delete(Digest.of(b"1"))
    with refused("DATA_LOSS", Digest.of(b"1"), "not in the store"):
        seal(tracking, run_id=run_id)


def test_a_model_of_a_deleted_run_or_experiment_takes_no_files(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    of_run = tracking.create_model(run_id)
    tracking.rpc.DeleteRun(tracking_pb2.DeleteRunRequest(run_id=run_id))
    with refused("INVALID_STATE", run_id):
        tracking.log_files(MODEL_FILES, model_id=of_run)
    of_experiment = tracking.rpc.CreateLoggedModel(
        tracking_pb2.CreateLoggedModelRequest(experiment_id="0", name="alone")
    ).model.info.model_id
    tracking.rpc.DeleteExperiment(tracking_pb2.DeleteExperimentRequest(experiment_id="0"))
    with refused("INVALID_STATE", "The experiment 0"):
        tracking.log_files(MODEL_FILES, model_id=of_experiment)
