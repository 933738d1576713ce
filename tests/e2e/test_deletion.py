"""What is registered outlives what made it, on the whole platform."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from tests.support.processes.up_process import Up, up

from modelyard.api.artifacts.v1 import artifacts_pb2
from modelyard.api.artifacts.v1.artifacts_service_pb2_grpc import ArtifactsServiceStub
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard.api.tracking.v1.tracking_service_pb2_grpc import TrackingServiceStub
from modelyard_kit.artifacts import Digest
from modelyard_server.admin import erase, gc


def files_of(name: str) -> dict[str, bytes]:
    """Return files of which no other model has the bytes."""
    return {"MLmodel": f"name: {name}\n".encode(), "weights.bin": name.encode() * 50_000}


@dataclass(frozen=True)
class Platform:
    running: Up
    tracking: Any
    artifacts: Any
    registry: Any

    def put(self, url: str, data: bytes) -> None:
        parts = urlsplit(url)
        assert self.running.put(f"{parts.path}?{parts.query}", data)[0] == 200

    def get(self, url: str) -> bytes:
        parts = urlsplit(url)
        status, body = self.running.get(f"{parts.path}?{parts.query}")
        assert status == 200
        return body


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("platform") / "home"
    with up(home) as running, grpc.insecure_channel(running.instance["grpc"]) as ch:
        yield Platform(
            running, TrackingServiceStub(ch), ArtifactsServiceStub(ch), RegistryServiceStub(ch)
        )


@dataclass(frozen=True)
class Logged:
    """A logged model of a run of an experiment."""

    experiment_id: str
    run_id: str
    model_id: str


def log_model(platform: Platform, name: str, contents: dict[str, bytes]) -> Logged:
    experiment = tracking_pb2.CreateExperimentRequest(name=name)
    experiment_id = platform.tracking.CreateExperiment(experiment).experiment_id
    run = tracking_pb2.CreateRunRequest(experiment_id=experiment_id)
    run_id = platform.tracking.CreateRun(run).run.info.run_id
    model = tracking_pb2.CreateLoggedModelRequest(
        experiment_id=experiment_id, name="model", source_run_id=run_id
    )
    model_id = platform.tracking.CreateLoggedModel(model).model.info.model_id
    files = [
        artifacts_pb2.ArtifactFile(path=path, size_bytes=len(data), digest=Digest.of(data))
        for path, data in contents.items()
    ]
    data_of = {Digest.of(data): data for data in contents.values()}
    declared = artifacts_pb2.DeclareArtifactsRequest(model_id=model_id, files=files)
    for upload in platform.artifacts.DeclareArtifacts(declared).uploads:
        platform.put(upload.url, data_of[Digest(upload.digest)])
    platform.artifacts.CommitArtifacts(
        artifacts_pb2.CommitArtifactsRequest(model_id=model_id, files=files)
    )
    platform.tracking.FinalizeLoggedModel(
        tracking_pb2.FinalizeLoggedModelRequest(
            model_id=model_id, status=tracking_pb2.LOGGED_MODEL_READY
        )
    )
    return Logged(experiment_id, run_id, model_id)


def delete_run(platform: Platform, logged: Logged) -> None:
    platform.tracking.DeleteRun(tracking_pb2.DeleteRunRequest(run_id=logged.run_id))


def delete_experiment(platform: Platform, logged: Logged) -> None:
    platform.tracking.DeleteExperiment(
        tracking_pb2.DeleteExperimentRequest(experiment_id=logged.experiment_id)
    )


def delete_logged_model(platform: Platform, logged: Logged) -> None:
    platform.tracking.DeleteLoggedModel(
        tracking_pb2.DeleteLoggedModelRequest(model_id=logged.model_id)
    )


@pytest.mark.parametrize("delete", [delete_run, delete_experiment, delete_logged_model])
def test_a_version_is_loaded_byte_for_byte_after_what_made_it_was_deleted(
    platform: Platform, delete: Callable[[Platform, Logged], None]
) -> None:
    name = delete.__name__
    contents = files_of(name)
    logged = log_model(platform, name, contents)
    platform.registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name=name))
    made = platform.registry.CreateModelVersion(
        registry_pb2.CreateModelVersionRequest(name=name, source=f"runs:/{logged.run_id}/model")
    ).model_version
    assert (made.verified, made.status, made.model_id) == (
        True,
        registry_pb2.READY,
        logged.model_id,
    )

    delete(platform, logged)

    resolved = platform.registry.ResolveModel(
        registry_pb2.ResolveModelRequest(uri=f"models:/{name}/1")
    )
    assert resolved.digest == made.digest == Digest.of(resolved.manifest)
    bytes_of = {download.digest: platform.get(download.url) for download in resolved.downloads}
    assert bytes_of == {Digest.of(data): data for data in contents.values()}


def test_commands_purge_what_was_deleted_and_erase_what_is_named(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELYARD_TRACKING_URI", f"grpc://{platform.running.instance['grpc']}")
    old = log_model(platform, "old", files_of("old"))
    delete_experiment(platform, old)

    def answer(run: Callable[[list[str]], int], *arguments: str) -> dict[str, Any]:
        assert run([*arguments, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    assert answer(gc.run, "--deleted", "--dry-run")["purged"]["experiments"] == 0
    would = answer(gc.run, "--deleted", "--older-than", "0d", "--dry-run")["purged"]
    assert answer(gc.run, "--deleted", "--older-than", "0d")["purged"] == would
    assert would["logged_models"] >= 1
    new = log_model(platform, "old", files_of("new"))
    assert new.experiment_id != old.experiment_id

    platform.tracking.SetTag(tracking_pb2.SetTagRequest(run_id=new.run_id, key="k", value="v"))
    assert answer(erase.run, "tag", new.run_id, "k")["entries"] == 1
    assert erase.run(["tag", new.run_id, "k"]) == 0
    assert capsys.readouterr().out == "There is nothing to erase.\n"
    erased = answer(erase.run, "artifact", new.model_id, "MLmodel")
    assert (erased["files"], len(erased["remaining"])) == (1, 1)
    assert erase.run(["model", new.model_id, "--dry-run"]) == 0
    assert "Would be erased: entries 1, files 1" in capsys.readouterr().out
    for word, of in (("param", "0"), ("artifact", "0"), ("dataset", new.model_id)):
        assert erase.run([word, of, "x"]) == 1
        assert f"'{of}' is the id of a" in capsys.readouterr().err
    assert erase.run(["run", "f" * 32]) == 1
    assert "There is no run" in capsys.readouterr().err


@pytest.mark.parametrize("age", ["", "30", "1w", "-1d", "d", "36501d"])
def test_an_age_that_cannot_be_read_is_a_usage_error(age: str) -> None:
    with pytest.raises(SystemExit) as ended:
        gc.run(["--deleted", "--older-than", age])
    assert ended.value.code == 2
