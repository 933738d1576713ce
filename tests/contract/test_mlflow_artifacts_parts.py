"""Multipart uploads and signed URLs of files, over real sockets."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from tests.support.http.artifact_edge import API, FILES, Edge, running_edge

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.registry.v1 import registry_pb2
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard_gateway.artifacts.uploads import UploadLimits
from modelyard_kit.artifacts import PART_BYTES, Digest

TOKEN = "a-token-of-the-test"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CHUNKS = [b"first part", b"second part", b"end"]


@pytest.fixture(scope="module", params=["without a token", "with a token"])
def edge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    token = TOKEN if request.param == "with a token" else None
    with running_edge(tmp_path_factory.mktemp("edge"), token=token) as running:
        yield running


@pytest.fixture
def tree(edge: Edge) -> str:
    """Return the path of a new run's artifact tree."""
    return f"0/{edge.create_run()}/artifacts"


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def step(edge: Edge, step: str, folder: str, **body: Any) -> Any:
    return edge.json("POST", f"{API}/mpu/{step}/{folder}", body, **BEARER)


def refused_step(edge: Edge, step: str, folder: str, body: object) -> tuple[int, str, str]:
    headers = {**BEARER, "Content-Type": "application/json"}
    return edge.refusal("POST", f"{API}/mpu/{step}/{folder}", json.dumps(body).encode(), headers)


def upload_parts(edge: Edge, created: Any, chunks: list[bytes]) -> list[dict[str, Any]]:
    parts = []
    for credential, chunk in zip(created["credentials"], chunks, strict=True):
        status, headers, body = edge.ask("PUT", path_of(credential["url"]), chunk)
        assert status == 200, body
        number = credential["part_number"]
        parts.append({"part_number": number, "etag": headers["etag"], "url": credential["url"]})
    return parts


def got(edge: Edge, path: str) -> bytes:
    status, _, body = edge.ask("GET", f"{FILES}/{path}", headers=BEARER)
    assert status == 200, body
    return body


def test_parts_are_joined_in_order(edge: Edge, tree: str) -> None:
    created = step(edge, "create", f"{tree}/sub", path="/home/ada/big file.bin", num_parts=3)
    assert [entry["part_number"] for entry in created["credentials"]] == [1, 2, 3]
    parts = upload_parts(edge, created, CHUNKS)

    done = {"path": "/home/ada/big file.bin", "upload_id": created["upload_id"]}
    assert step(edge, "complete", f"{tree}/sub", parts=parts[::-1], **done) == {}

    assert got(edge, f"{tree}/sub/big%20file.bin") == b"".join(CHUNKS)
    run_id = tree.split("/")[1]
    file = edge.digest_of(run_id, "sub/big file.bin")
    assert file.digest == Digest.of(b"".join(CHUNKS))
    assert not file.parts


def test_parts_of_another_size_than_ours_are_split_again(edge: Edge, tree: str) -> None:
    first, second = bytes(PART_BYTES // 2 + 5), b"x" * (PART_BYTES // 2 + 7)
    created = step(edge, "create", tree, path="big.bin", num_parts=2)
    parts = upload_parts(edge, created, [first, second])
    step(edge, "complete", tree, path="big.bin", upload_id=created["upload_id"], parts=parts)

    file = edge.digest_of(tree.split("/")[1], "big.bin")
    assert [part.size_bytes for part in file.parts] == [PART_BYTES, 12]
    assert file.digest == Digest.of(first + second)
    span = {**BEARER, "Range": f"bytes={PART_BYTES - 3}-{PART_BYTES + 2}"}
    assert edge.ask("GET", f"{FILES}/{tree}/big.bin", headers=span)[::2] == (206, b"x" * 6)


def test_a_part_larger_than_ours_is_several_objects(edge: Edge, tree: str) -> None:
    data = bytes(PART_BYTES + 1)
    created = step(edge, "create", tree, path="big.bin", num_parts=2)
    parts = upload_parts(edge, created, [data, b"end"])
    assert parts[0]["etag"].count(".") == 1
    step(edge, "complete", tree, path="big.bin", upload_id=created["upload_id"], parts=parts)
    assert edge.digest_of(tree.split("/")[1], "big.bin").digest == Digest.of(data + b"end")


def test_an_upload_completed_twice_is_the_same_as_once(edge: Edge, tree: str) -> None:
    created = step(edge, "create", tree, path="a.bin", num_parts=1)
    parts = upload_parts(edge, created, [b"data"])
    for _ in range(2):
        step(edge, "complete", tree, path="a.bin", upload_id=created["upload_id"], parts=parts)
    assert got(edge, f"{tree}/a.bin") == b"data"


def test_an_aborted_upload_leaves_no_file(edge: Edge, tree: str) -> None:
    created = step(edge, "create", tree, path="a.bin", num_parts=1)
    upload_parts(edge, created, [b"data"])
    assert step(edge, "abort", tree, path="a.bin", upload_id=created["upload_id"]) == {}
    reply = edge.json("GET", f"{FILES}?path={tree}", None, **BEARER)
    assert reply == {}


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"parts": []}, "each part from 1 to 1 once, got 0"),
        ({"parts": [{"part_number": 2, "etag": "a" * 64}]}, "each part from 1 to 1 once"),
        ({"parts": [{"part_number": 1, "etag": "a" * 64}] * 2}, "got 2 of them"),
        ({"parts": [{"part_number": 1, "etag": "../../x"}]}, "ETag of part 1 is not the one"),
        ({"parts": [{"part_number": 1, "etag": "a" * 64}]}, "ETag of part 1 is not the one"),
        ({"parts": [{"part_number": 1, "etag": "a-1-é"}]}, "ETag of part 1 is not the one"),
        ({"parts": [{"part_number": 1}]}, "'etag'"),
        ({"parts": [{"part_number": True, "etag": "a" * 64}]}, "'part_number'"),
        ({"parts": ["x"]}, "list of objects"),
        ({"parts": "x"}, "'parts'"),
        ({"path": ""}, "must end in a file name"),
        ({"path": None}, "'path'"),
        ({"path": 7}, "'path'"),
        ({"upload_id": None}, "'upload_id'"),
    ],
)
def test_an_invalid_completion_of_an_upload_is_refused(
    edge: Edge, tree: str, change: dict[str, Any], fragment: str
) -> None:
    created = step(edge, "create", tree, path="a.bin", num_parts=1)
    body = {"path": "a.bin", "upload_id": created["upload_id"], "parts": []} | change
    status, code, message = refused_step(edge, "complete", tree, body)
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert fragment in message
    assert edge.json("GET", f"{FILES}?path={tree}", None, **BEARER) == {}


def test_a_file_is_made_only_of_parts_that_were_sent_for_it(edge: Edge, tree: str) -> None:
    created, other = (
        step(edge, "create", tree, path=name, num_parts=2) for name in ("a.bin", "b.bin")
    )
    own, foreign = (upload_parts(edge, upload, [b"1", b"2"]) for upload in (created, other))
    swapped = [{**part, "part_number": 3 - part["part_number"]} for part in own]
    other_bytes = [own[0], {**own[1], "etag": own[1]["etag"].replace(Digest.of(b"2"), "a" * 64)}]
    for parts in (foreign, swapped, other_bytes):
        body = {"path": "a.bin", "upload_id": created["upload_id"], "parts": parts}
        status, _, message = refused_step(edge, "complete", tree, body)
        assert (status, "is not the one" in message) == (400, True)
    assert edge.json("GET", f"{FILES}?path={tree}", None, **BEARER) == {}


def test_swept_parts_are_reported_as_missing(edge: Edge, tree: str) -> None:
    created = step(edge, "create", tree, path="a.bin", num_parts=1)
    parts = upload_parts(edge, created, [b"a part that is swept"])
    edge.store.delete(Digest.of(b"a part that is swept"))
    body = {"path": "a.bin", "upload_id": created["upload_id"], "parts": parts}
    status, code, message = refused_step(edge, "complete", tree, body)
    assert (status, code, "is missing" in message) == (400, "INVALID_STATE", True)


def test_an_upload_id_is_valid_for_one_file_only(edge: Edge, tree: str) -> None:
    created = step(edge, "create", tree, path="a.bin", num_parts=1)
    parts = upload_parts(edge, created, [b"data"])
    upload_id = created["upload_id"]
    for folder, name, forged in (
        (tree, "b.bin", upload_id),
        (f"{tree}/sub", "a.bin", upload_id),
        (tree, "a.bin", upload_id.replace("parts=1", "parts=2")),
        (tree, "a.bin", "x"),
    ):
        body = {"path": name, "upload_id": forged, "parts": parts}
        assert refused_step(edge, "complete", folder, body)[:2] == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("num_parts", [0, -1, 10_001, "2", 1.5, True])
def test_an_invalid_number_of_parts_is_refused(edge: Edge, tree: str, num_parts: object) -> None:
    status, _, message = refused_step(edge, "create", tree, {"path": "a", "num_parts": num_parts})
    assert (status, "'num_parts'" in message) == (400, True)


def test_only_the_name_of_the_local_file_is_used(edge: Edge, tree: str) -> None:
    for local in ("C:\\Users\\ada\\a.bin", "/../../a.bin", "a.bin"):
        created = step(edge, "create", tree, path=local, num_parts=1)
        url = urlsplit(created["credentials"][0]["url"])
        assert url.path == f"/artifacts/files/{tree}/a.bin"
    for local, name in (("/data/a\\b", "a\\b"), ("/data/%2e%2e", "%2e%2e"), ("C:x", "C:x")):
        created = step(edge, "create", tree, path=local, num_parts=1)
        url = urlsplit(created["credentials"][0]["url"])
        assert unquote(url.path) == f"/artifacts/files/{tree}/{name}"
    for local in ("..", "/tmp/..", "a/", "a\\"):  # noqa: S108 - not opened
        assert refused_step(edge, "create", tree, {"path": local, "num_parts": 1})[0] == 400


def test_a_body_that_is_no_json_object_is_refused(edge: Edge, tree: str) -> None:
    url = f"{API}/mpu/create/{tree}"
    for body, kind in ((b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/x")):
        headers = {**BEARER, "Content-Type": kind}
        assert edge.refusal("POST", url, body, headers)[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_a_presigned_upload_is_stored(edge: Edge, tree: str) -> None:
    run_id = tree.split("/")[1]
    request = pb.CreatePresignedUploadUrlRequest(run_id=run_id, path="a/b c.txt")
    url = path_of(edge.artifacts.CreatePresignedUploadUrl(request).presigned_url)

    status, headers, _ = edge.ask("PUT", url, b"data")

    assert (status, headers["etag"]) == (200, f'"{Digest.of(b"data")}"')
    assert got(edge, f"{tree}/a/b%20c.txt") == b"data"
    assert edge.ask("GET", url)[0] == 403


def test_a_presigned_download_needs_no_token(edge: Edge, tree: str) -> None:
    run_id = tree.split("/")[1]
    assert edge.ask("PUT", f"{FILES}/{tree}/a.txt", b"data", BEARER)[0] == 200
    request = pb.CreatePresignedDownloadUrlRequest(run_id=run_id, path="a.txt")
    by_rpc = edge.artifacts.CreatePresignedDownloadUrl(request).presigned_url
    by_proxy = edge.json("GET", f"{API}/presigned/{tree}/a.txt", None, **BEARER)
    assert by_proxy["file_size"] == 4
    assert by_proxy["headers"] == {}
    for url in (by_rpc, by_proxy["url"]):
        status, headers, body = edge.ask("GET", path_of(url), headers={"Range": "bytes=1-2"})
        assert (status, body) == (206, b"at")
        assert headers["content-disposition"].endswith("a.txt")


def test_a_file_in_parts_is_presigned_by_its_path(edge: Edge, tree: str) -> None:
    data = bytes(PART_BYTES) + b"end"
    assert edge.ask("PUT", f"{FILES}/{tree}/big.bin", data, BEARER)[0] == 200
    edge.registry.CreateRegisteredModel(registry_pb2.CreateRegisteredModelRequest(name=tree[2:20]))
    run_id = tree.split("/")[1]
    assert edge.ask("PUT", f"{FILES}/{tree}/model/big.bin", data, BEARER)[0] == 200
    digest = edge.register(run_id, name=tree[2:20])
    for path in (f"{tree}/big.bin", f"manifests/{digest}/big.bin"):
        reply = edge.json("GET", f"{API}/presigned/{path}", None, **BEARER)
        assert reply["file_size"] == len(data)
        span = {"Range": f"bytes={PART_BYTES - 1}-"}
        status, _, body = edge.ask("GET", path_of(reply["url"]), headers=span)
        assert (status, body) == (206, b"\0end")
        assert edge.ask("PUT", path_of(reply["url"]), b"x")[0] == 403


def test_a_forged_or_expired_url_is_refused(edge: Edge, tree: str) -> None:
    path = f"{tree}/a.txt"
    old = path_of(edge.signer.file_url("PUT", path, 1_000_000_000))
    new = path_of(edge.signer.file_url("PUT", path, 9_999_999_999))
    other = new.replace("a.txt", "b.txt")
    for url in (old, other, new[:-1] + "g", f"{new}&part=1", new.partition("?")[0]):
        status, code, message = edge.refusal("PUT", url, b"data")
        assert (status, code) == (403, "PERMISSION_DENIED")
        assert "signature" in message or "expired" in message
    assert edge.json("GET", f"{FILES}?path={tree}", None, **BEARER) == {}


def test_a_signed_url_does_not_outlive_its_run(edge: Edge, tree: str) -> None:
    url = path_of(edge.signer.file_url("PUT", f"{tree}/a.txt", 9_999_999_999))
    edge.tracking.DeleteRun(tracking_pb2.DeleteRunRequest(run_id=tree.split("/")[1]))
    assert edge.refusal("PUT", url, b"data")[:2] == (400, "INVALID_STATE")


def test_a_part_over_the_limit_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    limits = UploadLimits(max_bytes=10)
    with running_edge(tmp_path_factory.mktemp("edge"), limits=limits) as edge:
        tree = f"0/{edge.create_run()}/artifacts"
        created = step(edge, "create", tree, path="a.bin", num_parts=1)
        url = path_of(created["credentials"][0]["url"])
        for body in (b"x" * 11, iter([b"x" * 6, b"x" * 5])):
            assert edge.refusal("PUT", url, body)[0] == 413
        assert edge.left_behind() == []
