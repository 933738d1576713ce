"""An import that leaves files out, into a real platform: what it says, and how it is repaired."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelyard
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2 as pb
from modelyard.client import MlflowClient
from modelyard.exceptions import InvalidState
from modelyard_mlflow.destination import ServerDestination
from modelyard_mlflow.import_registry import RegistryImport
from modelyard_mlflow.import_tracking import IdMap, TrackingImport
from modelyard_mlflow.progress import ProgressBar
from modelyard_mlflow.report import Report
from modelyard_mlflow.source import SourceFile, SourceVersion, Tree, Unreadable
from modelyard_server.processes.embedded import Embedded


class Origin:
    """One run with a folder of files, one logged model, and a version of each.

    Attributes:
        out_of_reach: Names of files that cannot be read.
        is_down: Whether trees cannot be listed.
    """

    def __init__(self) -> None:
        self.name = f"http://{uuid.uuid4().hex}.example"
        self.run_id, self.model_id = uuid.uuid4().hex, f"m-{uuid.uuid4().hex}"
        self.model = f"model {self.run_id}"
        self.out_of_reach: set[str] = set()
        self.is_down = False

    def experiments(self) -> Iterator[pb.Experiment]:
        yield pb.Experiment(experiment_id="7", name=self.run_id, lifecycle_stage="active")

    def runs(self, _: str) -> Iterator[pb.Run]:
        info = pb.RunInfo(
            run_id=self.run_id,
            experiment_id="7",
            status=pb.FINISHED,
            start_time=1,
            lifecycle_stage="active",
            artifact_uri=f"s3://b/7/{self.run_id}/artifacts",
        )
        yield pb.Run(info=info)

    def history(self, _run_id: str, _key: str) -> Iterator[pb.Metric]:
        yield from ()

    def logged_models(self, _: str) -> Iterator[pb.LoggedModel]:
        info = pb.LoggedModelInfo(
            model_id=self.model_id,
            experiment_id="7",
            name="fitted",
            source_run_id=self.run_id,
            status=pb.LOGGED_MODEL_READY,
            creation_timestamp_ms=1,
            artifact_uri=f"s3://b/7/models/{self.model_id}/artifacts",
        )
        yield pb.LoggedModel(info=info)

    def registered_models(self) -> Iterator[registry_pb2.RegisteredModel]:
        yield registry_pb2.RegisteredModel(name=self.model, creation_timestamp=1)

    def versions(self, name: str) -> Iterator[SourceVersion]:
        for number, source in enumerate(
            (f"runs:/{self.run_id}/model", f"models:/{self.model_id}"), start=1
        ):
            message = registry_pb2.ModelVersion(
                name=name, version=str(number), source=source, creation_timestamp=1
            )
            yield SourceVersion(message, "")

    def next_version(self, _: str) -> int:
        return 3

    def files(self, tree: Tree) -> Iterator[SourceFile]:
        if self.is_down:
            raise Unreadable(f"{tree.uri} is out of reach")
        prefix = "" if tree.model_id else "model/"
        yield from (SourceFile(f"{prefix}{name}", 1) for name in ("MLmodel", "vocab:en.txt"))

    def fetch(self, _: Tree, path: str, target: Path) -> None:
        if path in self.out_of_reach:
            raise Unreadable(f"'{path}' is damaged")
        target.write_text("x")

    def left_out(self) -> list[str]:
        return []


def imported(origin: Origin, platform: Embedded) -> Report:
    destination = ServerDestination(platform.http, origin.name)
    report, ids = Report(origin.name, platform.http), IdMap()
    with ProgressBar() as progress:
        tracking = TrackingImport(origin, destination, report, progress, ids)
        registry = RegistryImport(
            origin, destination, report, progress, ids, tracking, origin=origin.name, host="there"
        )
        registry.import_names([])
        tracking.run([])
        registry.import_versions()
    return report


def versions(client: MlflowClient, origin: Origin) -> list[tuple[bool, bool | None, str]]:
    found = [client.get_model_version(origin.model, number) for number in ("1", "2")]
    return [(item.verified, item.has_model, item.unverified_reason) for item in found]


def test_versions_that_lack_a_file_are_unverified_until_an_import_brings_it(
    platform: Embedded, client: MlflowClient
) -> None:
    origin = Origin()
    origin.out_of_reach = {"model/vocab:en.txt", "vocab:en.txt"}
    report = imported(origin, platform)
    assert report.exit_code == 3
    assert "not everything was migrated" in report.summary().lower()
    details = " ".join(item.detail for item in report.differences)
    assert "'model/vocab:en.txt' is damaged" in details
    for verified, has_model, reason in versions(client, origin):
        assert (verified, has_model) == (False, None)
        assert "vocab:en.txt' is damaged" in reason
    message = client.get_logged_model(origin.model_id).status_message
    assert message == "Not whole: 1 file is missing: 'vocab:en.txt' ('vocab:en.txt' is damaged)."
    for uri in (f"runs:/{origin.run_id}/model", f"models:/{origin.model_id}"):
        with pytest.raises(InvalidState, match=r"is not whole.*vocab:en\.txt"):
            modelyard.register_model(uri, f"mine {origin.run_id}")

    origin.out_of_reach.clear()
    repaired = imported(origin, platform)
    assert repaired.exit_code == 0
    assert versions(client, origin) == [(True, True, "")] * 2
    assert client.get_logged_model(origin.model_id).status_message is None
    origin.is_down = True
    assert imported(origin, platform).exit_code == 3
    assert versions(client, origin) == [(True, True, "")] * 2


def test_versions_of_trees_that_cannot_be_listed_say_why_they_are_not_verified(
    platform: Embedded, client: MlflowClient
) -> None:
    origin = Origin()
    origin.is_down = True
    assert imported(origin, platform).exit_code == 3
    for verified, _, reason in versions(client, origin):
        assert not verified
        assert reason.endswith("is out of reach")
    assert "is out of reach" in str(client.get_logged_model(origin.model_id).status_message)
    origin.is_down = False
    assert imported(origin, platform).exit_code == 0
    assert versions(client, origin) == [(True, True, "")] * 2


def test_files_of_an_interrupted_import_are_not_registered_as_a_whole(
    platform: Embedded, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = Origin()
    with monkeypatch.context() as during:
        during.setattr("modelyard_mlflow.destination._FILES_PER_BATCH", 1)
        fetched = iter([True])

        def fetch(_tree: Tree, _path: str, target: Path) -> None:
            if next(fetched, False):
                target.write_text("x")
            else:
                raise KeyboardInterrupt

        during.setattr(origin, "fetch", fetch)
        with pytest.raises(KeyboardInterrupt):
            imported(origin, platform)
    with pytest.raises(InvalidState, match="interrupted before it was copied"):
        modelyard.register_model(f"models:/{origin.model_id}", f"mine {origin.run_id}")
    assert imported(origin, platform).exit_code == 0
    assert versions(client, origin) == [(True, True, "")] * 2
