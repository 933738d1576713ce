"""Artifact routes of the HTTP edge with objects in S3, as MLflow's clients use them."""

import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import grpc
import pytest
from tests.support.http.artifact_edge import API, FILES, Edge, running_edge
from tests.support.stores.s3_servers import S3Server

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.registry.v1 import registry_pb2
from modelyard_kit.artifacts import PART_BYTES, Digest

DATA = bytes(range(256)) * 20_000  # several chunks


@pytest.fixture(scope="module")
def edge(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge"), store=seaweedfs.open_store()) as running:
        yield running


@pytest.fixture
def run_id(edge: Edge) -> str:
    return edge.create_run()


@pytest.fixture
def tree(run_id: str) -> str:
    """Return the path of the run's artifact tree."""
    return f"0/{run_id}/artifacts"


def put(edge: Edge, path: str, data: bytes) -> None:
    assert edge.ask("PUT", f"{FILES}/{quote(path)}", data)[0] == 200


def got(edge: Edge, path: str) -> bytes:
    status, _, body = edge.ask("GET", f"{FILES}/{quote(path)}")
    assert status == 200, body
    return body


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """GET a URL without credentials, following redirects."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def test_a_file_is_uploaded_downloaded_listed_replaced_and_deleted(edge: Edge, tree: str) -> None:
    put(edge, f"{tree}/a/b.bin", DATA)
    put(edge, f"{tree}/empty", b"")
    assert got(edge, f"{tree}/a/b.bin") == DATA
    assert got(edge, f"{tree}/empty") == b""
    assert edge.listed(tree) == {"a": None, "empty": 0}

    put(edge, f"{tree}/a/b.bin", b"replaced")
    assert got(edge, f"{tree}/a/b.bin") == b"replaced"
    edge.json("DELETE", f"{FILES}/{tree}/a/b.bin")
    assert edge.listed(tree) == {"empty": 0}


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=1048570-1048590", 1_048_570, 1_048_591), ("bytes=-5", -5, None)],
)
def test_a_range_of_a_file_is_downloaded(
    edge: Edge, tree: str, asked: str, start: int, end: int | None
) -> None:
    put(edge, f"{tree}/a.bin", DATA)
    status, headers, body = edge.ask("GET", f"{FILES}/{tree}/a.bin", headers={"Range": asked})
    assert (status, body) == (206, DATA[start:end])
    assert headers["content-length"] == str(len(body))


def test_a_large_file_is_stored_in_parts(edge: Edge, run_id: str, tree: str) -> None:
    put(edge, f"{tree}/big.bin", bytes(PART_BYTES) + b"end")

    file = edge.digest_of(run_id, "big.bin")
    assert [part.size_bytes for part in file.parts] == [PART_BYTES, 3]
    span = {"Range": f"bytes={PART_BYTES - 2}-"}
    assert edge.ask("GET", f"{FILES}/{tree}/big.bin", headers=span)[::2] == (206, b"\0\0end")
    reply = edge.json("GET", f"{API}/presigned/{tree}/big.bin")
    assert fetch(reply["url"], **span)[::2] == (206, b"\0\0end")


def test_a_file_is_sent_in_parts_and_completed(edge: Edge, tree: str) -> None:
    chunks = [b"first part", b"second part", b"end"]
    created = edge.json("POST", f"{API}/mpu/create/{tree}", {"path": "a.bin", "num_parts": 3})
    parts: list[dict[str, Any]] = []
    for credential, chunk in zip(created["credentials"], chunks, strict=True):
        split = urlsplit(credential["url"])
        status, headers, _ = edge.ask("PUT", f"{split.path}?{split.query}", chunk)
        assert status == 200
        parts.append({"part_number": credential["part_number"], "etag": headers["etag"]})
    edge.json(
        "POST",
        f"{API}/mpu/complete/{tree}",
        {"path": "a.bin", "upload_id": created["upload_id"], "parts": parts},
    )
    assert got(edge, f"{tree}/a.bin") == b"".join(chunks)


def test_a_presigned_download_comes_from_the_store_as_an_attachment(
    edge: Edge, run_id: str, tree: str
) -> None:
    put(edge, f"{tree}/page.html", b"<script>alert(1)</script>")
    request = pb.CreatePresignedDownloadUrlRequest(run_id=run_id, path="page.html")
    by_rpc = edge.artifacts.CreatePresignedDownloadUrl(request).presigned_url
    by_proxy = edge.json("GET", f"{API}/presigned/{tree}/page.html")["url"]

    for url in (by_rpc, by_proxy):
        assert urlsplit(url).port != edge.port
        status, headers, body = fetch(url)
        assert (status, body) == (200, b"<script>alert(1)</script>")
        assert headers["content-type"] == "application/octet-stream"
        assert headers["content-disposition"] == "attachment; filename*=UTF-8''page.html"


def test_a_presigned_upload_of_an_unknown_digest_goes_through_the_edge(
    edge: Edge, run_id: str, tree: str
) -> None:
    request = pb.CreatePresignedUploadUrlRequest(run_id=run_id, path="a.txt")
    url = urlsplit(edge.artifacts.CreatePresignedUploadUrl(request).presigned_url)
    assert edge.ask("PUT", f"{url.path}?{url.query}", b"data")[0] == 200
    assert got(edge, f"{tree}/a.txt") == b"data"


def test_a_registered_model_is_read_by_the_digest_it_is_pinned_to(
    edge: Edge, run_id: str, tree: str
) -> None:
    put(edge, f"{tree}/model/MLmodel", b"flavors: {}")
    edge.registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name=run_id))
    digest = edge.register(run_id, name=run_id)
    put(edge, f"{tree}/model/MLmodel", b"changed afterwards")

    assert got(edge, f"manifests/{digest}/MLmodel") == b"flavors: {}"
    assert edge.listed(f"manifests/{digest}") == {"MLmodel": 11}


def test_bytes_that_the_store_lost_are_reported(edge: Edge, run_id: str, tree: str) -> None:
    put(edge, f"{tree}/lost", run_id.encode())
    edge.store.delete(Digest.of(run_id.encode()))

    status, code, message = edge.refusal("GET", f"{FILES}/{tree}/lost")

    assert (status, code) == (422, "DATA_LOSS")
    assert "missing from the store" in message


def test_bytes_damaged_in_the_bucket_are_refused_until_they_are_logged_again(
    edge: Edge, seaweedfs: S3Server, run_id: str, tree: str
) -> None:
    data = DATA + b"in the bucket"
    put(edge, f"{tree}/model/weights", data)
    edge.registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name="damaged"))
    edge.register(run_id, name="damaged")
    url = edge.store.presign_get(Digest.of(data), 60)
    bucket, _, key = urlsplit(url).path[1:].partition("/")
    seaweedfs.client.put_object(Bucket=bucket, Key=key, Body=data[:-1] + b"!")
    path = f"{FILES}/{tree}/model/weights"

    with pytest.raises(http.client.IncompleteRead):
        edge.ask("GET", path)
    for refused in (
        edge.refusal("GET", path, None, {"Range": "bytes=0-9"}),
        edge.refusal("GET", f"{API}/presigned/{tree}/model/weights"),
    ):
        assert refused[1] == "DATA_LOSS"
    source = f"runs:/{run_id}/model"
    with pytest.raises(grpc.RpcError, match="is damaged in the store"):
        edge.registry.CreateModelVersion(
            registry_pb2.CreateModelVersionRequest(name="damaged", source=source)
        )
    get = registry_pb2.GetModelVersionRequest(name="damaged", version="1")
    while not (damage := edge.registry.GetModelVersion(get).model_version.damage):
        pass  # the gateway reports it after it has answered
    assert "'weights'" in damage

    put(edge, f"{tree}/model/weights", data)

    assert not edge.registry.GetModelVersion(get).model_version.damage
    assert got(edge, f"{tree}/model/weights") == data
