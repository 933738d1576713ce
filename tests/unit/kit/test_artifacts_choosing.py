import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.stores.s3_servers import S3Server

from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.artifacts.choosing import StoreSettings, open_store
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.errors import FailedPrecondition, InvalidArgument

SIGNER = UrlSigner(b"s" * 32, lambda: "http://127.0.0.1:5000")
DATA = b"weights"
DIGEST = Digest.of(DATA)

WITHOUT_BOTO3 = """
import sys
from modelyard_kit.artifacts import UrlSigner
from modelyard_kit.artifacts.choosing import StoreSettings, open_store

open_store(StoreSettings(sys.argv[1]), UrlSigner(b"s" * 32, lambda: ""))
assert "boto3" not in sys.modules and "botocore" not in sys.modules

sys.modules["boto3"] = None  # as if it were not installed
try:
    open_store(StoreSettings("s3://bucket"), UrlSigner(b"s" * 32, lambda: ""))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_folder_keeps_objects_without_boto3(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_BOTO3, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == (
        "FailedPrecondition Artifacts in S3 need boto3: pip install 'modelyard[s3]'.\n"
    )


def test_a_folder_is_made_if_it_is_not_there(tmp_path: Path) -> None:
    store = open_store(StoreSettings(str(tmp_path / "new" / "objects")), SIGNER)

    assert isinstance(store, LocalStore)
    assert (tmp_path / "new" / "objects").is_dir()


def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FailedPrecondition, match="file' cannot be used: "):
        open_store(StoreSettings(str(tmp_path / "file")), SIGNER)


@pytest.mark.parametrize("prefix", ["", "/", "/team", "/team/models/", "/a.b/c-d_e"])
def test_a_bucket_keeps_objects_below_its_prefix(
    seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)
    bucket = seaweedfs.make_bucket()
    store = open_store(
        StoreSettings(f"s3://{bucket}{prefix}", s3_endpoint=seaweedfs.endpoint), SIGNER
    )
    store.put(DIGEST, [DATA], len(DATA))

    keys = [found["Key"] for found in seaweedfs.client.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [f"{prefix.strip('/')}/{DIGEST.key}".removeprefix("/")]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("", "expected a folder, s3://bucket or s3://bucket/prefix"),
        ("gs://bucket", "Invalid MODELYARD_ARTIFACTS 'gs://bucket'"),
        ("file:///objects", "Invalid MODELYARD_ARTIFACTS 'file:///objects'"),
        ("s3://", "'' is not the name of a bucket"),
        ("s3:///prefix", "'' is not the name of a bucket"),
        ("s3://Bucket", "'Bucket' is not the name of a bucket"),
        ("s3://b", "'b' is not the name of a bucket"),
        ("s3://key:secret@bucket", "without credentials"),
        ("s3://bucket/a//b", "Invalid prefix 'a//b/'"),
        ("s3://bucket/a b", "Invalid prefix 'a b/'"),
        ("s3://bucket/a?x=y", "Invalid prefix"),
        ("s3://bucket/ž", "Invalid prefix"),
        ("s3://bucket/" + "a" * 600, "at most 512"),
    ],
)
def test_an_invalid_location_is_refused(location: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        open_store(StoreSettings(location, s3_endpoint="http://127.0.0.1:9"), SIGNER)
    assert message in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "endpoint",
    [
        "minio:9000",
        "http://",
        "ftp://minio",
        "http://minio/bucket",
        "https://key:secret@minio",
        "http://minio:port",
        "http://minio?x",
        "http://minio\n",
    ],
)
def test_an_invalid_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidArgument, match="Invalid MODELYARD_S3_ENDPOINT") as caught:
        StoreSettings("s3://bucket", s3_endpoint=endpoint)
    assert "secret" not in caught.value.message
    with pytest.raises(InvalidArgument, match="Invalid MODELYARD_S3_PUBLIC_ENDPOINT"):
        StoreSettings("s3://bucket", s3_public_endpoint=endpoint)
