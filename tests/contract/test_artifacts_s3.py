"""Uploads directly to S3, from declaration to registration."""

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from prometheus_client import REGISTRY
from tests.support.http.artifact_edge import Edge, running_edge
from tests.support.platforms.tracking_service import file_message, refused
from tests.support.stores.s3_servers import S3Server

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.registry.v1 import registry_pb2
from modelyard_kit.artifacts import Digest

FILES = {"model/MLmodel": b"flavors: {}", "model/weights": b"weights" * 1_000}
WRONG = b"x" * 7_000


@pytest.fixture(scope="module")
def edge(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    store = seaweedfs.open_store(prefix="models/")
    with running_edge(tmp_path_factory.mktemp("edge"), store=store) as running:
        yield running


@pytest.fixture(scope="module")
def lying(moto: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge over a store that takes any bytes under any name."""
    with running_edge(tmp_path_factory.mktemp("edge"), store=moto.open_store()) as running:
        yield running


def declare(edge: Edge, run_id: str, files: dict[str, bytes]) -> dict[str, pb.ObjectUpload]:
    """Return what is to be uploaded, by digest."""
    messages = [file_message(path, data) for path, data in files.items()]
    request = pb.DeclareArtifactsRequest(run_id=run_id, files=messages)
    return {upload.digest: upload for upload in edge.artifacts.DeclareArtifacts(request).uploads}


def commit(edge: Edge, run_id: str, files: dict[str, bytes]) -> None:
    messages = [file_message(path, data) for path, data in files.items()]
    edge.artifacts.CommitArtifacts(pb.CommitArtifactsRequest(run_id=run_id, files=messages))


def put(upload: pb.ObjectUpload, data: bytes) -> int:
    return ask("PUT", upload.url, data, dict(upload.headers))[0]


def ask(
    method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def listed(edge: Edge, run_id: str) -> list[str]:
    reply = edge.artifacts.ListArtifacts(pb.ListArtifactsRequest(run_id=run_id))
    return [info.path for info in reply.files]


def mismatches() -> float:
    door = {"door": "upload"}
    return REGISTRY.get_sample_value("modelyard_digest_mismatch_total", door) or 0


def test_files_are_declared_uploaded_committed_registered_and_loaded(edge: Edge) -> None:
    run_id = edge.create_run()
    uploads = declare(edge, run_id, FILES)
    for data in FILES.values():
        assert put(uploads[Digest.of(data)], data) == 200
    commit(edge, run_id, FILES)

    reply = edge.artifacts.GetArtifacts(pb.GetArtifactsRequest(run_id=run_id, path="model"))
    assert {ask("GET", item.url) for item in reply.downloads} == {
        (200, data) for data in FILES.values()
    }
    edge.registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name="from-s3"))
    edge.register(run_id, name="from-s3")
    resolved = edge.registry.ResolveModel(registry_pb2.ResolveModelRequest(uri="models:/from-s3/1"))
    assert {ask("GET", item.url) for item in resolved.downloads} == {
        (200, data) for data in FILES.values()
    }


def test_stored_objects_are_not_uploaded_again(edge: Edge) -> None:
    first, second, data = edge.create_run(), edge.create_run(), {"a": b"the same in both"}
    (upload,) = declare(edge, first, data).values()
    assert put(upload, data["a"]) == 200
    commit(edge, first, data)

    assert declare(edge, second, data) == {}
    commit(edge, second, data)

    assert listed(edge, second) == ["a"]


def test_wrong_bytes_are_refused_by_the_store_and_nothing_is_committed(edge: Edge) -> None:
    run_id, files = edge.create_run(), {"a": b"y" * len(WRONG)}
    (upload,) = declare(edge, run_id, files).values()

    assert put(upload, WRONG) == 400
    assert put(upload, files["a"][:-1]) == 403
    with refused("INVALID_STATE", "The bytes of 'a' are not in the store"):
        commit(edge, run_id, files)

    assert listed(edge, run_id) == []
    assert put(upload, files["a"]) == 200
    commit(edge, run_id, files)
    assert listed(edge, run_id) == ["a"]


def test_an_object_is_not_written_twice(edge: Edge) -> None:
    run_id, files = edge.create_run(), {"a": b"written once"}
    (upload,) = declare(edge, run_id, files).values()

    assert [put(upload, files["a"]), put(upload, files["a"])] == [200, 412]


def test_wrong_bytes_that_a_store_took_are_data_loss_and_deleted(lying: Edge) -> None:
    run_id = lying.create_run()
    files = {"a": b"right", "b": b"y" * len(WRONG)}
    uploads = declare(lying, run_id, files)
    assert put(uploads[Digest.of(files["a"])], files["a"]) == 200
    assert put(uploads[Digest.of(files["b"])], WRONG) == 200
    before = mismatches()

    with refused("DATA_LOSS", "for 'b' do not match the digest", "upload them again"):
        commit(lying, run_id, files)

    assert listed(lying, run_id) == []
    assert mismatches() == before + 1
    assert [found.digest for found in lying.store.list_objects()] == [Digest.of(files["a"])]
    (upload,) = declare(lying, run_id, files).values()
    assert put(upload, files["b"]) == 200
    commit(lying, run_id, files)
    assert listed(lying, run_id) == ["a", "b"]


def test_bytes_of_another_size_that_a_store_took_are_data_loss_and_deleted(lying: Edge) -> None:
    run_id, files = lying.create_run(), {"a": b"of one size"}
    (upload,) = declare(lying, run_id, files).values()
    assert put(upload, b"of another size") == 200

    with refused("DATA_LOSS", "do not match the digest"):
        commit(lying, run_id, files)

    assert listed(lying, run_id) == []
    assert not lying.store.has(Digest.of(files["a"]))


def test_a_size_that_is_not_the_objects_is_refused_and_the_object_kept(lying: Edge) -> None:
    data = b"of this size"
    lying.store.put(Digest.of(data), [data], len(data))
    message = pb.ArtifactFile(path="a", size_bytes=5, digest=Digest.of(data))
    request = pb.DeclareArtifactsRequest(run_id=lying.create_run(), files=[message])

    with refused("INVALID_PARAMETER_VALUE", f"has {len(data)} bytes, not 5"):
        lying.artifacts.DeclareArtifacts(request)

    assert lying.store.has(Digest.of(data))


def test_committed_objects_are_not_read_again(lying: Edge, moto: S3Server) -> None:
    run_id, files = lying.create_run(), {"a": b"committed"}
    (upload,) = declare(lying, run_id, files).values()
    assert put(upload, files["a"]) == 200
    commit(lying, run_id, files)
    before = mismatches()

    bucket, _, key = urlsplit(upload.url).path[1:].partition("/")
    moto.client.put_object(Bucket=bucket, Key=key, Body=b"destroyed")
    commit(lying, lying.create_run(), files)

    assert mismatches() == before
    assert not lying.store.verify(Digest.of(files["a"]))


def test_objects_uploaded_again_are_hashed_again(lying: Edge, moto: S3Server) -> None:
    run_id, files = lying.create_run(), {"a": b"right, but lost since"}
    (upload,) = declare(lying, run_id, files).values()
    assert put(upload, files["a"]) == 200
    commit(lying, run_id, files)
    bucket, _, key = urlsplit(upload.url).path[1:].partition("/")
    moto.client.delete_object(Bucket=bucket, Key=key)

    other = lying.create_run()
    (upload,) = declare(lying, other, files).values()
    assert put(upload, b"wrong".ljust(len(files["a"]))) == 200
    with refused("DATA_LOSS", "for 'a' do not match the digest"):
        commit(lying, other, files)

    assert listed(lying, other) == []
    assert not lying.store.has(Digest.of(files["a"]))


def test_sealing_refuses_wrong_bytes_uploaded_since(lying: Edge, moto: S3Server) -> None:
    run_id, files = lying.create_run(), {"a": b"right, lost, and sealed"}
    (upload,) = declare(lying, run_id, files).values()
    assert put(upload, files["a"]) == 200
    commit(lying, run_id, files)
    bucket, _, key = urlsplit(upload.url).path[1:].partition("/")
    moto.client.delete_object(Bucket=bucket, Key=key)

    (upload,) = declare(lying, run_id, files).values()
    assert put(upload, b"wrong".ljust(len(files["a"]))) == 200
    with refused("DATA_LOSS", "is damaged in the store; log its file again"):
        lying.artifacts.SealManifest(pb.SealManifestRequest(run_id=run_id))
    with refused("DATA_LOSS", "for 'a' do not match the digest"):
        commit(lying, lying.create_run(), files)
