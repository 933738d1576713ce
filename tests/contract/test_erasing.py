"""Erasing removes personal data wherever tracking has it, and reports what it cannot reach."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.databases.dialects import BEFORE_SQL, ONE_SQL, Dialect
from tests.support.platforms.full_runs import ONE, TWO, experiment, full_run
from tests.support.platforms.swept_platform import Platform, shared_platforms, swept_platform
from tests.support.platforms.tracking_service import refused

from modelyard.api.artifacts.v1 import artifacts_pb2 as artifacts
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard_kit.artifacts import Digest
from modelyard_tracking.models import ArtifactFile, ArtifactPart

D1, D2 = Digest.of(ONE), Digest.of(TWO)
SECRET = "Ada Lovelace, born 1815"


@pytest.fixture(scope="module")
def platforms(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Dialect], Platform]]:
    with shared_platforms(tmp_path_factory) as running:
        yield running


@pytest.fixture
def platform(platforms: Callable[[Dialect], Platform], dialect: Dialect) -> Iterator[Platform]:
    running = platforms(dialect)
    yield running
    running.empty()


def erase(platform: Platform, **fields: Any) -> artifacts.EraseDataResponse:
    request = artifacts.EraseDataRequest(**fields)
    reply: artifacts.EraseDataResponse = platform.tracking.artifacts.EraseData(request)
    return reply


def get_model(platform: Platform, model_id: str) -> pb.LoggedModel:
    request = pb.GetLoggedModelRequest(model_id=model_id)
    model: pb.LoggedModel = platform.tracking.rpc.GetLoggedModel(request).model
    return model


def tags_of(platform: Platform, experiment_id: str) -> dict[str, str]:
    request = pb.GetExperimentRequest(experiment_id=experiment_id)
    found = platform.tracking.rpc.GetExperiment(request).experiment
    return {tag.key: tag.value for tag in found.tags}


def test_params_tags_and_datasets_are_erased_one_by_one(platform: Platform) -> None:
    number = experiment(platform, "study")
    run_id, model_id = full_run(platform, number)
    of_run, of_model = {"run_id": run_id}, {"model_id": model_id}
    targets: list[dict[str, str]] = [
        {**of_run, "param": "depth"},
        {**of_run, "tag": "k"},
        {**of_run, "dataset": "iris"},
        {**of_model, "param": "p"},
        {**of_model, "tag": "t"},
        {"experiment_id": number, "tag": "team"},
    ]
    for target in targets:
        assert erase(platform, **target, dry_run=True).entries == 1, target
        assert erase(platform, **target).entries == 1, target
        assert erase(platform, **target).entries == 0, target
    run, model = platform.tracking.get_run(run_id), get_model(platform, model_id)
    assert not run.data.params
    assert [tag.key for tag in run.data.tags] == ["mlflow.runName"]
    assert not run.inputs.dataset_inputs
    assert (list(model.data.params), list(model.info.tags)) == ([], [])
    assert tags_of(platform, number) == {}
    assert [metric.value for metric in run.data.metrics] == [0.5]


def test_a_dataset_is_erased_from_all_runs_of_an_experiment(platform: Platform) -> None:
    number = experiment(platform, "study")
    runs = [full_run(platform, number)[0] for _ in range(2)]
    assert erase(platform, experiment_id=number, dataset="iris").entries == 1
    for run_id in runs:
        assert not platform.tracking.get_run(run_id).inputs.dataset_inputs
    assert erase(platform, experiment_id=number, dataset="iris").entries == 0


@ONE_SQL
def test_a_param_of_a_deleted_run_is_erased(platform: Platform) -> None:
    run_id, _ = full_run(platform)
    platform.tracking.rpc.DeleteRun(pb.DeleteRunRequest(run_id=run_id))
    assert erase(platform, run_id=run_id, param="depth").entries == 1
    assert not platform.tracking.get_run(run_id).data.params


@ONE_SQL
def test_user_and_name_of_a_run_are_erased_with_their_tags(platform: Platform) -> None:
    run_id = platform.tracking.create_run(
        user_id="ada", run_name="ada-1", tags=[pb.RunTag(key="mlflow.user", value="ada")]
    )
    assert erase(platform, run_id=run_id, tag="mlflow.user").entries == 1
    assert erase(platform, run_id=run_id, tag="mlflow.runName").entries == 1
    run = platform.tracking.get_run(run_id)
    assert (run.info.user_id, run.info.run_name, list(run.data.tags)) == ("", run_id, [])
    assert erase(platform, run_id=run_id, tag="mlflow.user").entries == 0
    assert erase(platform, run_id=run_id, tag="mlflow.runName").entries == 0


def test_an_artifact_is_erased_with_its_object(platform: Platform) -> None:
    run_id, _ = full_run(platform)
    platform.tracking.log_files({"b/c.txt": b"three"}, run_id=run_id)
    platform.clock.end_leases()
    would = erase(platform, run_id=run_id, path="a.txt", dry_run=True)
    assert platform.objects > {D1, D2}
    done = erase(platform, run_id=run_id, path="a.txt")
    assert done == would
    assert (done.files, done.files_bytes, list(done.remaining)) == (1, 3, [])
    assert [item.digest for item in done.removed] == [D1]
    assert D1 not in platform.objects
    assert erase(platform, run_id=run_id, path="a.txt") == artifacts.EraseDataResponse(
        entries=0, files=0, files_bytes=0, unexamined_objects=0
    )
    assert erase(platform, run_id=run_id, path="b").files == 1


@ONE_SQL
def test_an_object_under_a_lease_is_left_to_the_next_sweep(platform: Platform) -> None:
    run_id, _ = full_run(platform)
    (left,) = erase(platform, run_id=run_id, path="a.txt").remaining
    assert (left.digest, left.size_bytes) == (D1, 3)
    assert left.removable_time.ToMilliseconds() > platform.clock()
    platform.clock.end_leases()
    assert platform.sweep() == {D1}


@ONE_SQL
def test_versions_and_files_that_keep_the_bytes_are_named(platform: Platform) -> None:
    run_id = platform.tracking.create_run()
    platform.tracking.log_files({"model/MLmodel": ONE, "model/data": TWO}, run_id=run_id)
    other = platform.tracking.create_run()
    platform.tracking.log_files({"copy": ONE}, run_id=other)
    versions = [platform.register(run_id), platform.register(run_id, name="rose")]
    platform.clock.end_leases()
    done = erase(platform, run_id=run_id, path="model")
    assert (done.files, list(done.removed)) == (2, [])
    remaining = {item.digest: item for item in done.remaining}
    assert remaining.keys() == {D1, D2}
    for item in remaining.values():
        pinning = {(pin.name, pin.version) for pin in item.versions}
        assert pinning == {("iris", versions[0]), ("rose", versions[1])}
        assert not item.HasField("removable_time")
    (copy,) = remaining[D1].files
    assert (copy.run_id, copy.path) == (other, "copy")
    for name, version in zip(("iris", "rose"), versions, strict=True):
        platform.delete_version(version, name)
    assert D2 in platform.sweep()
    assert [item.digest for item in erase(platform, run_id=other).removed] == [D1]
    assert not platform.objects


@pytest.mark.parametrize("kind", ["run_id", "model_id", "experiment_id"])
def test_a_resource_is_erased_whether_deleted_or_not(platform: Platform, kind: str) -> None:
    number = experiment(platform, "study")
    run_id, model_id = full_run(platform, number)
    target = {kind: {"run_id": run_id, "model_id": model_id, "experiment_id": number}[kind]}
    platform.clock.end_leases()
    would = erase(platform, **target, dry_run=True)
    platform.tracking.get_run(run_id)
    done = erase(platform, **target)
    assert done == would
    expected = {"run_id": (1, [D1]), "model_id": (1, [D2]), "experiment_id": (3, sorted([D1, D2]))}
    assert (done.entries, [item.digest for item in done.removed]) == expected[kind]
    assert erase(platform, **target).entries == 0
    with refused("RESOURCE_DOES_NOT_EXIST"):
        if kind == "model_id":
            get_model(platform, model_id)
        else:
            platform.tracking.get_run(run_id)


def test_erased_values_are_in_no_file_of_sqlite(tmp_path: Path) -> None:
    with swept_platform(tmp_path, "sqlite") as platform:
        tags = [pb.RunTag(key="name", value=SECRET), pb.RunTag(key="kept", value="kept value")]
        new_run = pb.CreateRunRequest(experiment_id="0", tags=tags)
        metadata = (("idempotency-key", "k"),)
        reply = platform.tracking.rpc.CreateRun(new_run, metadata=metadata)
        run_id = reply.run.info.run_id
        request = pb.SetTagRequest(run_id=run_id, key="name", value=f"Lady {SECRET}")
        platform.tracking.rpc.SetTag(request)
        param = pb.LogParamRequest(run_id=run_id, key="p", value=SECRET * 200)
        platform.tracking.rpc.LogParam(param)
        assert erase(platform, run_id=run_id, tag="name").entries == 1
        assert erase(platform, run_id=run_id, param="p").entries == 1
        files = b"".join(file.read_bytes() for file in tmp_path.glob("tracking.db*"))
        assert b"kept value" in files
        assert SECRET.encode() not in files


@ONE_SQL
def test_an_artifact_is_erased_from_the_run_or_logged_model_that_has_it(platform: Platform) -> None:
    run_id, model_id = full_run(platform)
    platform.tracking.log_files({"model/notes": b"three"}, run_id=run_id)
    with refused("INVALID_PARAMETER_VALUE", f"belong to the logged model '{model_id}'"):
        erase(platform, run_id=run_id, path="model/MLmodel")
    with refused("INVALID_PARAMETER_VALUE", f"belong to the run '{run_id}'"):
        erase(platform, model_id=model_id, path="notes")
    assert erase(platform, model_id=model_id, path="MLmodel").files == 1
    assert erase(platform, run_id=run_id, path="model/notes").files == 1


@ONE_SQL
def test_records_of_files_that_an_import_left_out_are_erased(platform: Platform) -> None:
    run_id, _ = full_run(platform)
    platform.tracking.log_files({"ada/b": b"three"}, run_id=run_id)
    missing = [artifacts.MissingFile(path="ada/born 1815", reason="out of reach")]
    request = artifacts.SetMissingArtifactsRequest(run_id=run_id, files=missing)
    platform.tracking.artifacts.SetMissingArtifacts(request)
    for dry_run in (True, False):
        done = erase(platform, run_id=run_id, path="ada", dry_run=dry_run)
        assert (done.entries, done.files) == (1, 1)
    sealing = artifacts.SealManifestRequest(run_id=run_id)
    assert platform.tracking.artifacts.SealManifest(sealing).manifest
    assert not erase(platform, run_id=run_id, path="ada").entries


def test_files_are_not_erased_while_the_registry_cannot_be_reached(tmp_path: Path) -> None:
    with swept_platform(tmp_path, "sqlite") as platform:
        run_id, _ = full_run(platform)
        platform.registry_server.drain(1)
        with refused("TEMPORARILY_UNAVAILABLE", "registry"):
            erase(platform, run_id=run_id)
        assert platform.tracking.get_run(run_id)
        assert erase(platform, run_id=run_id, param="depth").entries == 1


RUN = {"run_id": "a" * 32}
MODEL = {"model_id": "m-" + "a" * 32}


MALFORMED: list[tuple[dict[str, str], str]] = [
    ({}, "exactly one of run_id"),
    (RUN | MODEL, "exactly one of run_id"),
    (RUN | {"param": "a", "tag": "b"}, "param and tag"),
    (RUN | {"param": ""}, "not empty"),
    (RUN | {"path": ""}, "not empty"),
    (RUN | {"path": "d/"}, "the segment '' is not allowed"),
    (RUN | {"path": "../d"}, "the segment '..' is not allowed"),
    (RUN | {"path": "/d"}, "expected a relative path"),
    (MODEL | {"dataset": "d"}, "'dataset'"),
    ({"experiment_id": "1", "param": "p"}, "'param'"),
    ({"experiment_id": "0"}, "Default"),
    ({"experiment_id": "x"}, "experiment ID"),
    ({"run_id": "../x"}, "run ID"),
    ({"model_id": "m"}, "model ID"),
]


@BEFORE_SQL
def test_malformed_targets_are_refused(platform: Platform) -> None:
    for fields, fragment in MALFORMED:
        with refused("INVALID_PARAMETER_VALUE", fragment):
            erase(platform, **fields)


@ONE_SQL
def test_what_never_existed_is_not_found(platform: Platform) -> None:
    for fields in (RUN, MODEL, {"experiment_id": "77"}, RUN | {"param": "p"}):
        with refused("RESOURCE_DOES_NOT_EXIST", "There is no"):
            erase(platform, **fields)


def test_a_file_in_parts_is_erased_with_each_of_its_objects(platform: Platform) -> None:
    run_id, model_id = full_run(platform)
    file = {"owner_kind": "run", "owner_id": run_id, "path": "big/file"}
    parts = [(D1, 3), (D2, 3)]
    for erase_it in (False, True):
        with platform.database.write() as session:
            session.add(ArtifactFile(**file, size_bytes=6, digest=Digest.of(ONE + TWO)))
            session.flush()
            session.add_all(
                ArtifactPart(**file, position=position, digest=digest, size_bytes=size_bytes)
                for position, (digest, size_bytes) in enumerate(parts)
            )
        if not erase_it:
            platform.delete_files(run_id, "big")
    done = erase(platform, run_id=run_id, path="big")
    remaining = {
        item.digest: [(file.run_id or file.model_id, file.path) for file in item.files]
        for item in done.remaining
    }
    assert remaining == {D1: [(run_id, "a.txt")], D2: [(model_id, "MLmodel")]}
