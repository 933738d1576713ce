"""Presigned URLs of single files."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from tests.support.databases.dialects import Dialect
from tests.support.platforms.tracking_service import START_MS, Tracking, refused, tracking_at

from modelyard.api.artifacts.v1 import artifacts_pb2 as pb
from modelyard.api.tracking.v1 import tracking_pb2
from modelyard_kit.artifacts import PART_BYTES, Digest, PartHasher, UrlSigner
from modelyard_kit.artifacts.signing import Method

SIGNER = UrlSigner(b"s" * 32, lambda: "http://store.test")
START_S = START_MS // 1000


@pytest.fixture
def tracking(tmp_path: Path, dialect: Dialect) -> Iterator[Tracking]:
    with tracking_at(tmp_path, dialect) as service:
        yield service


def expires_in_s(url: str, method: Method, place: str) -> int:
    """Check the signature of a URL of a file; return its validity in seconds."""
    parts = urlsplit(url)
    assert unquote(parts.path) == f"/artifacts/files/{place}"
    signed = SIGNER.check(method, place, dict(parse_qsl(parts.query)), now_s=0)
    assert set(signed) == {"method", "expires"}
    return int(signed["expires"]) - START_S


@pytest.mark.parametrize(("asked", "given"), [(None, 900), (1, 1), (604_800, 604_800)])
def test_an_upload_url_has_the_path_and_expires(
    tracking: Tracking, asked: int | None, given: int
) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id)
    owners = [({"run_id": run_id}, run_id), ({"model_id": model_id}, f"models/{model_id}")]
    for owner, tree in owners:
        request = pb.CreatePresignedUploadUrlRequest(path="a/b c.txt", expiration=asked, **owner)
        reply = tracking.artifacts.CreatePresignedUploadUrl(request)
        place = f"0/{tree}/artifacts/a/b c.txt"
        assert abs(expires_in_s(reply.presigned_url, "PUT", place) - given) <= 1
        assert not reply.headers


def test_a_file_of_one_object_is_downloaded_from_the_store(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a/b.txt": b"data"}, run_id=run_id)
    request = pb.CreatePresignedDownloadUrlRequest(run_id=run_id, path="a/b.txt", expiration=60)

    reply = tracking.artifacts.CreatePresignedDownloadUrl(request)

    parts = urlsplit(reply.presigned_url)
    digest = Digest(parts.path.rpartition("/")[2])
    assert digest == Digest.of(b"data")
    granted = SIGNER.verify("GET", digest, dict(parse_qsl(parts.query)), time.time())
    assert granted.filename == "b.txt"
    assert reply.file_size == 4


def test_a_file_in_parts_is_downloaded_by_its_path(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    hasher = PartHasher()
    hasher.update(bytes(PART_BYTES))
    hasher.update(b"end")
    file = hasher.file("big.bin")
    tracking.store.put(file.parts[0].digest, [bytes(PART_BYTES)], PART_BYTES)
    tracking.store.put(file.parts[1].digest, [b"end"], 3)
    parts = [pb.ArtifactPart(digest=part.digest, size_bytes=part.size_bytes) for part in file.parts]
    message = pb.ArtifactFile(
        path=file.path, digest=file.digest, size_bytes=file.size_bytes, parts=parts
    )
    tracking.artifacts.CommitArtifacts(pb.CommitArtifactsRequest(run_id=run_id, files=[message]))

    reply = tracking.artifacts.CreatePresignedDownloadUrl(
        pb.CreatePresignedDownloadUrlRequest(run_id=run_id, path="big.bin")
    )

    place = f"0/{run_id}/artifacts/big.bin"
    assert abs(expires_in_s(reply.presigned_url, "GET", place) - 300) <= 1
    assert reply.file_size == PART_BYTES + 3


@pytest.mark.parametrize("expiration", [0, -1, 604_801, 2**62])
def test_an_expiration_out_of_range_is_refused(tracking: Tracking, expiration: int) -> None:
    run_id = tracking.create_run()
    tracking.log_files({"a": b""}, run_id=run_id)
    fields: dict[str, Any] = {"run_id": run_id, "path": "a", "expiration": expiration}
    with refused("INVALID_PARAMETER_VALUE", str(expiration), "at least 1 and at most 604800"):
        tracking.artifacts.CreatePresignedUploadUrl(pb.CreatePresignedUploadUrlRequest(**fields))
    with refused("INVALID_PARAMETER_VALUE", str(expiration), "at least 1 and at most 604800"):
        tracking.artifacts.CreatePresignedDownloadUrl(
            pb.CreatePresignedDownloadUrlRequest(**fields)
        )


def test_no_url_is_signed_for_a_path_that_cannot_be_written_or_read(tracking: Tracking) -> None:
    run_id = tracking.create_run()
    model_id = tracking.create_model(run_id)
    tracking.log_files({"a/b.txt": b"x"}, run_id=run_id)
    upload = tracking.artifacts.CreatePresignedUploadUrl
    download = tracking.artifacts.CreatePresignedDownloadUrl
    with refused("INVALID_PARAMETER_VALUE", "exactly one"):
        upload(pb.CreatePresignedUploadUrlRequest(path="a"))
    with refused("INVALID_PARAMETER_VALUE", "exactly one"):
        upload(pb.CreatePresignedUploadUrlRequest(path="a", run_id=run_id, model_id=model_id))
    with refused("RESOURCE_DOES_NOT_EXIST"):
        upload(pb.CreatePresignedUploadUrlRequest(path="a", run_id="nobody"))
    with refused("RESOURCE_DOES_NOT_EXIST"):
        download(pb.CreatePresignedDownloadUrlRequest(run_id=run_id, path="nothing"))
    both = pb.GetArtifactsRequest(run_id=run_id, file_only=True, own_files_only=True)
    with refused("INVALID_PARAMETER_VALUE", "file_only"):
        tracking.artifacts.GetArtifacts(both)
    with refused("INVALID_PARAMETER_VALUE", "'a'", "is a folder"):
        download(pb.CreatePresignedDownloadUrlRequest(run_id=run_id, path="a"))
    for path in ("../a", "/a", "a//b"):
        with refused("INVALID_PARAMETER_VALUE", "Invalid artifact path"):
            upload(pb.CreatePresignedUploadUrlRequest(path=path, run_id=run_id))
        with refused("INVALID_PARAMETER_VALUE", "Invalid artifact path"):
            download(pb.CreatePresignedDownloadUrlRequest(path=path, run_id=run_id))
    tracking.rpc.DeleteRun(tracking_pb2.DeleteRunRequest(run_id=run_id))
    with refused("INVALID_STATE", "deleted"):
        upload(pb.CreatePresignedUploadUrlRequest(path="a", run_id=run_id))
