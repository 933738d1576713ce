"""Behaviour specific to S3 stores: presigned URLs, tests of their enforcement, error messages."""

import http.client
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import botocore.auth
import botocore.compat
import pytest
from tests.support.stores.s3_servers import S3Server

from modelyard_kit.artifacts import Digest, PresignedPut
from modelyard_kit.artifacts.s3 import S3Store
from modelyard_kit.errors import Error, FailedPrecondition, ResourceExhausted, Unavailable

DATA = b"weights" * 1_000
DIGEST = Digest.of(DATA)
OTHER = b"x" * len(DATA)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, seaweedfs: S3Server) -> None:
    for name, value in seaweedfs.environ.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def store(seaweedfs: S3Server) -> S3Store:
    return seaweedfs.open_store()


def ask(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
    return answer(method, url, body, headers)[0]


def answer(
    method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", body, headers or {})
        reply = connection.getresponse()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def put(upload: PresignedPut, body: bytes) -> int:
    return ask("PUT", upload.url, body, dict(upload.headers))


def test_an_upload_url_signs_checksum_size_and_that_nothing_is_overwritten(store: S3Store) -> None:
    upload = store.presign_put(DIGEST, len(DATA), expires_s=60)

    query = parse_qs(urlsplit(upload.url).query)
    assert query["X-Amz-SignedHeaders"] == [
        "content-length;host;if-none-match;x-amz-checksum-sha256"
    ]
    assert query["X-Amz-Expires"] == ["60"]
    assert upload.headers.keys() == {"If-None-Match", "x-amz-checksum-sha256"}


def test_an_upload_url_takes_its_object_once(store: S3Store) -> None:
    upload = store.presign_put(DIGEST, len(DATA), expires_s=60)

    assert put(upload, DATA) == 200
    assert put(upload, DATA) == 412
    assert store.verify(DIGEST)


def test_an_empty_object_is_uploaded_by_its_url(store: S3Store) -> None:
    empty = Digest.of(b"")
    assert put(store.presign_put(empty, 0, expires_s=60), b"") == 200
    assert store.size_bytes(empty) == 0


@pytest.mark.parametrize("sent", [OTHER, DATA[:-1], DATA + b"x", b""])
def test_an_upload_url_takes_no_other_bytes(store: S3Store, sent: bytes) -> None:
    upload = store.presign_put(DIGEST, len(DATA), expires_s=60)

    assert put(upload, sent) in {400, 403}
    assert not store.has(DIGEST)


def test_an_upload_url_is_good_for_its_own_key_headers_method_and_time(
    store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = store.presign_put(DIGEST, len(DATA), expires_s=60)
    elsewhere = upload.url.replace(DIGEST.key, Digest.of(b"other").key)
    unsigned = upload.url.partition("?")[0]
    overwriting = {name: upload.headers[name] for name in ("x-amz-checksum-sha256",)}

    assert put(PresignedPut(elsewhere, upload.headers), DATA) == 403
    assert put(PresignedPut(unsigned, upload.headers), DATA) == 403
    assert ask("PUT", upload.url, DATA, overwriting) in {400, 403}
    assert ask("PUT", upload.url, OTHER, {"If-None-Match": "*"}) in {400, 403}
    assert ask("DELETE", upload.url) in {400, 403}
    now = botocore.compat.get_current_datetime()
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now - timedelta(seconds=61))
    assert put(store.presign_put(DIGEST, len(DATA), expires_s=60), DATA) == 403
    assert not list(store.list_objects())


def test_a_download_url_serves_an_attachment_that_no_browser_runs(store: S3Store) -> None:
    page = b"<script>alert(1)</script>"
    store.put(Digest.of(page), [page], len(page))
    url = store.presign_get(Digest.of(page), expires_s=60, filename="plán & \r\n x.html")

    status, headers, body = answer("GET", url)

    assert (status, body) == (200, page)
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == (
        "attachment; filename*=UTF-8''pl%C3%A1n%20%26%20%0D%0A%20x.html"
    )
    assert ask("GET", url.replace("attachment", "inline")) == 403
    assert ask("PUT", url, b"other") == 403


def test_urls_lead_to_where_clients_reach_the_store(seaweedfs: S3Server) -> None:
    store = S3Store(
        seaweedfs.make_bucket(),
        "team/models/",
        endpoint=seaweedfs.endpoint,
        public_endpoint="https://objects.example.com",
    )
    urls = (store.presign_get(DIGEST, 60), store.presign_put(DIGEST, 1, 60).url)

    assert all(url.startswith("https://objects.example.com/test-") for url in urls)
    assert all(f"/team/models/{DIGEST.key}?" in url for url in urls)
    assert store.trusted  # found out where the service itself reaches it


def test_urls_of_amazons_own_servers_name_the_bucket_in_the_host() -> None:
    store = S3Store("weights", region="eu-central-1")
    assert store.presign_get(DIGEST, 60).startswith(
        f"https://weights.s3.eu-central-1.amazonaws.com/{DIGEST.key}?"
    )


def test_a_store_that_enforces_what_is_signed_is_trusted(
    store: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "modelyard_kit"):
        assert store.trusted
        assert store.trusted

    assert [record.message for record in caplog.records] == [
        "The artifact store refuses wrong bytes, overwriting and altered URLs."
    ]
    assert not list(store.list_objects())


def test_a_store_that_enforces_nothing_is_not_trusted(
    moto: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    store = moto.open_store()
    with caplog.at_level("INFO", "modelyard_kit"):
        assert not store.trusted

    enforced = store.enforced()
    assert enforced.uploads
    assert enforced.no_overwriting
    assert not enforced.checksums
    assert not enforced.signatures
    (warning,) = [found.message for found in caplog.records if found.levelname == "WARNING"]
    assert warning.startswith("The artifact store accepts wrong bytes, altered URLs: ")
    assert not list(store.list_objects())


def test_a_listing_contains_objects_under_the_prefix_only(seaweedfs: S3Server) -> None:
    bucket = seaweedfs.make_bucket()
    store = seaweedfs.open_store(bucket, "models/")
    seaweedfs.open_store(bucket, "other/").put(DIGEST, [DATA], len(DATA))
    for foreign in ("notes.txt", f"models/sha256/{DIGEST}", f"models/sha256/00/00/{DIGEST}"):
        seaweedfs.client.put_object(Bucket=bucket, Key=foreign, Body=b"not ours")
    assert list(store.list_objects()) == []

    store.put(DIGEST, [DATA], len(DATA))

    assert [found.digest for found in store.list_objects()] == [DIGEST]


def test_a_store_that_refuses_its_own_urls_is_reported(
    seaweedfs: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    store = seaweedfs.open_store("no-such-bucket-here")

    assert not store.trusted
    assert "artifact store" in caplog.text


class Broken(BaseHTTPRequestHandler):
    """An S3 server that answers with the error in its bucket's name, e.g. `507-QuotaExceeded`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length", 0))
        self.rfile.read(length)
        status, _, code = urlsplit(self.path).path.split("/")[1].partition("-")
        body = f"<Error><Code>{code}</Code><Message>secret detail</Message></Error>".encode()
        if code == "short":
            body = DATA[:100]
        if code == "list":
            body = b"<ListBucketResult><Name>bucket</Name></ListBucketResult>"
        self.send_response(int(status))
        self.send_header("x-amz-bucket-region", "eu-west-1")
        self.send_header("content-length", str(len(DATA) if code == "short" else len(body)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else body)
        self.close_connection = True

    do_PUT = do_HEAD = do_GET  # noqa: N815 - named by HTTP

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@pytest.fixture(scope="module")
def broken() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("bucket", "refusal", "message"),
    [
        ("503-SlowDown", Unavailable, "too busy or broken"),
        ("500-InternalError", Unavailable, "too busy or broken"),
        ("429-TooManyRequests", Unavailable, "too busy or broken"),
        ("403-AccessDenied", Unavailable, "refuses this service"),
        ("403-InvalidAccessKeyId", Unavailable, "refuses this service"),
        ("507-InsufficientStorage", ResourceExhausted, "is full; nothing was kept"),
        ("400-QuotaExceeded", ResourceExhausted, "is full; nothing was kept"),
    ],
)
def test_a_failure_of_a_store_is_reported_without_its_secrets(
    broken: str, bucket: str, refusal: type[Error], message: str
) -> None:
    store = S3Store(bucket, endpoint=broken)

    with pytest.raises(refusal, match=message) as caught:
        store.put(DIGEST, [DATA], len(DATA))

    for secret in ("secret detail", broken.removeprefix("http://"), bucket, DIGEST):
        assert secret not in caught.value.message


def test_a_store_that_is_too_busy_is_tried_again_later(broken: str) -> None:
    store = S3Store("503-SlowDown", endpoint=broken)

    assert not store.trusted
    with pytest.raises(Unavailable, match="too busy"):
        store.enforced()


def test_a_store_that_cannot_be_reached_is_unavailable() -> None:
    store = S3Store("bucket", endpoint="http://127.0.0.1:9")

    for ask_it in (store.has, store.delete, store.verify):
        with pytest.raises(Unavailable, match="artifact store cannot be reached"):
            ask_it(DIGEST)
    with pytest.raises(Unavailable):
        list(store.list_objects())
    assert not store.trusted


def test_no_log_has_a_signature(seaweedfs: S3Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    unreachable = S3Store("bucket", endpoint="http://127.0.0.1:9")
    for store in (seaweedfs.open_store(), unreachable):
        caplog.clear()
        assert store.trusted != (store is unreachable)
        assert "artifact store" in caplog.text
        assert "Signature=" not in caplog.text


def test_an_incomplete_object_is_not_taken_for_whole(broken: str) -> None:
    store = S3Store("200-short", endpoint=broken)

    with pytest.raises(Unavailable), store.open(DIGEST) as chunks:
        list(chunks)


FULL_DISK = """
import resource, sys
from modelyard_kit.artifacts import Digest
from modelyard_kit.artifacts.s3 import S3Store
from modelyard_kit.errors import ResourceExhausted

store = S3Store("bucket", endpoint="http://127.0.0.1:9")
resource.setrlimit(resource.RLIMIT_FSIZE, (9 << 20, 9 << 20))
try:
    store.put(Digest("0" * 64), (bytes(1 << 20) for _ in range(12)), 12 << 20)
except ResourceExhausted as error:
    print(error.message)
"""


def test_a_full_disk_is_reported_before_anything_is_sent() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "The disk for temporary files is full; nothing was kept. Free some space, then try again.\n"
    )


def test_a_bucket_that_is_there_is_usable(store: S3Store) -> None:
    store.check_access()


def test_a_bucket_that_is_not_there_is_refused_at_start(seaweedfs: S3Server) -> None:
    store = S3Store("no-such-bucket-here", endpoint=seaweedfs.endpoint)
    with pytest.raises(FailedPrecondition, match="There is no bucket 'no-such-bucket-here'"):
        store.check_access()


def test_wrong_or_missing_credentials_are_refused_at_start(
    seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = seaweedfs.make_bucket()
    for name, value in (("ACCESS_KEY_ID", "nobody"), ("SECRET_ACCESS_KEY", "wrong")):
        with monkeypatch.context() as patch:
            patch.setenv(f"AWS_{name}", value)
            store = S3Store(bucket, endpoint=seaweedfs.endpoint)
        with pytest.raises(FailedPrecondition, match="does not accept the credentials") as caught:
            store.check_access()
        assert "correct AWS_ACCESS_KEY_ID" in caught.value.message
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    store = S3Store(bucket, endpoint=seaweedfs.endpoint)
    with pytest.raises(FailedPrecondition, match=r"no credentials .* set AWS_ACCESS_KEY_ID"):
        store.check_access()
    with pytest.raises(Unavailable):
        store.presign_get(DIGEST, 60)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_PROFILE", "nobody"),
        ("AWS_CONFIG_FILE", "{malformed}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "{malformed}"),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_DEFAULT_REGION", "eu west"),
    ],
)
def test_what_boto3_cannot_read_is_refused_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    malformed = tmp_path / "malformed"
    malformed.write_text("not an ini file")
    if variable == "AWS_SHARED_CREDENTIALS_FILE":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv(variable, value.format(malformed=malformed))
    with pytest.raises(FailedPrecondition, match=r"is invalid: .* correct the AWS_\* variables"):
        S3Store("bucket", endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "clock of this machine differs"),
        ("ExpiredToken", "does not accept the credentials"),
        ("AccessDenied", "need s3:ListBucket on it"),
    ],
)
def test_reasons_of_a_refusal_are_told_apart_at_start(broken: str, code: str, message: str) -> None:
    with pytest.raises(FailedPrecondition, match=message):
        S3Store(f"403-{code}", endpoint=broken).check_access()


def test_a_bucket_in_another_region_is_refused_at_start(broken: str) -> None:
    with pytest.raises(FailedPrecondition, match="set MODELYARD_S3_REGION=eu-west-1"):
        S3Store("200-list", endpoint=broken).check_access()


def test_an_endpoint_that_does_not_answer_is_reported_at_start() -> None:
    with pytest.raises(Unavailable, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        S3Store("bucket", endpoint="http://127.0.0.1:9").check_access()


def test_the_region_of_amazons_own_servers_must_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(FailedPrecondition, match="set MODELYARD_S3_REGION"):
        S3Store("weights")
