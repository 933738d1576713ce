"""Proof of possession: a digest is not the bytes. On a folder, a good and a lying S3 server."""

import http.client
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import grpc
import pytest
from tests.support.platforms.access_platform import Platform, running_platform

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.tracking import MlflowClient
from modelyard_kit.artifacts import PART_BYTES, Digest
from modelyard_kit.artifacts.local import LocalStore

MISSING = grpc.StatusCode.FAILED_PRECONDITION
_numbers = count(1)


@pytest.fixture(scope="module", params=["folder", "seaweedfs", "moto"])
def platform(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    settings: dict[str, str] = {}
    environ: dict[str, str] = {}
    if request.param != "folder":
        server = request.getfixturevalue(request.param)
        environ = server.environ
        settings = {"artifacts": f"s3://{server.make_bucket()}", "s3_endpoint": server.endpoint}
    folder = tmp_path_factory.mktemp("platform")
    with mock.patch.dict(os.environ, environ), running_platform(folder, **settings) as running:
        yield running


@dataclass(frozen=True)
class Team:
    """A token restricted to one experiment, and a run of it."""

    platform: Platform
    token: str
    run_id: str

    def declare(self, *files: pb.ArtifactFile) -> dict[str, pb.ObjectUpload]:
        reply = self._call("DeclareArtifacts", files)
        return {upload.digest: upload for upload in reply.uploads}

    def commit(self, *files: pb.ArtifactFile) -> None:
        self._call("CommitArtifacts", files)

    def log(self, data: bytes) -> pb.ArtifactFile:
        file = file_of(data)
        for upload in self.declare(file).values():
            assert put(upload, data) == 200
        self.commit(file)
        return file

    def status_of_commit(self, file: pb.ArtifactFile) -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as refusal:
            self.commit(file)
        error: Any = refusal.value
        assert "are not in the store" in error.details()
        code: grpc.StatusCode = error.code()
        return code

    def put_as_mlflow(self, data: bytes) -> int:
        run = self.platform.call("TrackingService.GetRun", run_id=self.run_id).run.info
        place = f"{run.experiment_id}/{run.run_id}/artifacts/a.bin"
        url = f"{self.platform.embedded.http}/api/2.0/mlflow-artifacts/artifacts/{place}"
        return ask("PUT", url, data, {"Authorization": f"Bearer {self.token}"})[0]

    def got(self, file: pb.ArtifactFile) -> bytes:
        reply = self.platform.call(
            "ArtifactsService.GetArtifacts", self.token, run_id=self.run_id, path=file.path
        )
        return ask("GET", reply.downloads[0].url, b"", {})[1]

    def _call(self, rpc: str, files: tuple[pb.ArtifactFile, ...]) -> Any:
        name = f"ArtifactsService.{rpc}"
        return self.platform.call(name, self.token, run_id=self.run_id, files=files)


def file_of(data: bytes, path: str = "a.bin") -> pb.ArtifactFile:
    return pb.ArtifactFile(path=path, size_bytes=len(data), digest=Digest.of(data))


def ask(method: str, url: str, data: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=30)) as connection:
        connection.request(method, f"{parts.path}?{parts.query}", data, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()


def put(upload: pb.ObjectUpload, data: bytes) -> int:
    return ask("PUT", upload.url, data, upload.headers)[0]


def team(platform: Platform, **scope: list[str]) -> Team:
    name = f"team-{next(_numbers)}"
    experiment_id = platform.call("TrackingService.CreateExperiment", name=name).experiment_id
    run = platform.call("TrackingService.CreateRun", experiment_id=experiment_id).run
    token = platform.token("contributor", **(scope or {"experiments": [name]}))
    return Team(platform, token, run.info.run_id)


@pytest.fixture
def owner(platform: Platform) -> Team:
    return team(platform)


@pytest.fixture
def stranger(platform: Platform) -> Team:
    return team(platform)


def secret() -> bytes:
    return f"weights {next(_numbers)}".encode()


def test_a_digest_alone_gives_no_access(owner: Team, stranger: Team) -> None:
    file = owner.log(secret())
    assert stranger.status_of_commit(file) is MISSING
    upload = stranger.declare(file)[file.digest]
    assert put(upload, b"x" * file.size_bytes) == 400
    assert stranger.status_of_commit(file) is MISSING
    assert owner.got(file).startswith(b"weights")


def test_uploading_the_bytes_gives_access(owner: Team, stranger: Team) -> None:
    data = secret()
    owner.log(data)
    file = stranger.log(data)
    assert stranger.got(file) == data


def test_uploaded_bytes_need_not_be_uploaded_again(
    platform: Platform, owner: Team, stranger: Team
) -> None:
    data = secret()
    file = owner.log(data)
    assert not owner.declare(file)
    upload = stranger.declare(file)[file.digest]
    assert put(upload, data) == 200
    assert not stranger.declare(file)
    assert team(platform).declare(file).keys() == {file.digest}


def test_a_foreign_url_gives_its_bearer_no_receipt(
    platform: Platform, owner: Team, stranger: Team
) -> None:
    data = secret()
    file = owner.log(data)
    another = team(platform)
    assert put(another.declare(file)[file.digest], data) == 200
    assert stranger.status_of_commit(file) is MISSING


def test_the_size_of_a_hidden_object_is_not_revealed(owner: Team, stranger: Team) -> None:
    file = owner.log(secret())
    file.size_bytes += 1
    assert stranger.declare(file).keys() == {file.digest}
    assert stranger.status_of_commit(file) is MISSING


def test_a_manifest_is_always_hidden(platform: Platform, owner: Team) -> None:
    owner.log(secret())
    name = f"model-{next(_numbers)}"
    platform.call("RegistryService.CreateRegisteredModel", name=name)
    version = platform.call(
        "RegistryService.CreateModelVersion", name=name, source=f"runs:/{owner.run_id}/"
    ).model_version
    resolved = platform.call("RegistryService.ResolveModel", uri=f"models:/{name}/1")
    assert Digest.of(resolved.manifest) == version.digest
    foreign = pb.ArtifactFile(
        path="m.json", size_bytes=len(resolved.manifest), digest=version.digest
    )
    assert team(platform, models=["none-*"]).status_of_commit(foreign) is MISSING
    assert team(platform).status_of_commit(foreign) is MISSING


@pytest.mark.parametrize("platform", ["folder"], indirect=True)
def test_a_digest_claimed_for_a_file_in_parts_shows_no_object(owner: Team, stranger: Team) -> None:
    file = owner.log(secret())
    chunks = [next(_numbers).to_bytes(8) * (PART_BYTES // 8), b"end"]
    parts = [pb.ArtifactPart(digest=Digest.of(data), size_bytes=len(data)) for data in chunks]
    claimed = pb.ArtifactFile(
        path="big.bin", size_bytes=PART_BYTES + 3, digest=file.digest, parts=parts
    )
    uploads = stranger.declare(claimed)
    for part, data in zip(parts, chunks, strict=True):
        assert put(uploads[part.digest], data) == 200
    stranger.commit(claimed)
    assert stranger.status_of_commit(file) is MISSING


def test_a_file_of_mlflows_clients_is_a_proof_by_itself(owner: Team, stranger: Team) -> None:
    data = secret()
    file = owner.log(data)
    assert stranger.put_as_mlflow(data) == 200
    assert stranger.got(file) == data


@pytest.fixture
def rival(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> Callable[[], pb.ArtifactFile]:
    """Another team that commits the same bytes as soon as they are stored."""
    others = team(platform)
    logged: list[pb.ArtifactFile] = []
    put_first = LocalStore.put

    def put(store: LocalStore, digest: Digest, *what: Any) -> None:
        put_first(store, digest, *what)
        if digest == Digest.of(data) and not logged:
            logged.append(file_of(data))
            others.commit(*logged)

    monkeypatch.setattr(LocalStore, "put", put)
    return lambda: logged[0]


@pytest.fixture
def data() -> bytes:
    return secret()


@pytest.mark.parametrize("platform", ["folder"], indirect=True)
def test_the_sdk_uploads_again_after_a_concurrent_commit_of_the_same_bytes(
    stranger: Team,
    rival: Callable[[], pb.ArtifactFile],
    data: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELYARD_TOKEN", stranger.token)
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    client = MlflowClient(stranger.platform.embedded.http)
    client.log_artifact(stranger.run_id, str(path))
    assert stranger.got(rival()) == data


@pytest.mark.parametrize("platform", ["folder"], indirect=True)
def test_the_gateway_uploads_again_after_a_concurrent_commit_of_the_same_bytes(
    stranger: Team, rival: Callable[[], pb.ArtifactFile], data: bytes
) -> None:
    assert stranger.put_as_mlflow(data) == 200
    assert stranger.got(rival()) == data


def test_new_bytes_are_uploaded_directly_to_the_store(stranger: Team) -> None:
    file = file_of(secret())
    upload = stranger.declare(file)[file.digest]
    everybody = Team(stranger.platform, stranger.platform.roles["contributor"], stranger.run_id)
    same = everybody.declare(file)[file.digest]
    assert urlsplit(upload.url)[:3] == urlsplit(same.url)[:3]
    assert upload.headers == same.headers


def test_a_token_without_patterns_needs_no_proof(platform: Platform, owner: Team) -> None:
    file = owner.log(secret())
    everyone = Team(platform, platform.roles["contributor"], owner.run_id)
    assert not everyone.declare(file)
    everyone.commit(file)
