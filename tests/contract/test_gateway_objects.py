"""The bytes of a local store over HTTP, under signed URLs."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.http.port import HttpPort

from modelyard_gateway.app import Gateway
from modelyard_gateway.server import HttpServer
from modelyard_kit.artifacts import Digest, UrlSigner
from modelyard_kit.artifacts.local import LocalStore
from modelyard_kit.http.listening import listen
from modelyard_kit.http.protocol import Protocol
from modelyard_kit.rpc.server import RpcServer

DATA = bytes(range(256)) * 20_000  # five chunks of the store
DIGEST = Digest.of(DATA)


@dataclass
class Edge(HttpPort):
    port: int
    signer: UrlSigner
    store: LocalStore
    folder: Path
    server: HttpServer

    def put_url(self, size_bytes: int = len(DATA), digest: Digest = DIGEST) -> str:
        return _path(self.signer.put_url(digest, size_bytes, int(time.time()) + 60))

    def get_url(self, filename: str | None = None, digest: Digest = DIGEST) -> str:
        return _path(self.signer.get_url(digest, int(time.time()) + 60, filename))

    @contextmanager
    def half_an_upload(self) -> Iterator[None]:
        head = f"PUT {self.put_url()} HTTP/1.1\r\nHost: localhost\r\n"
        head += f"Content-Length: {len(DATA)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port)) as raw:
            raw.sendall(head.encode() + DATA[:200_000])
            yield

    def left_behind(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    signer = UrlSigner(b"s" * 32, lambda: "http://127.0.0.1")
    store = LocalStore(tmp_path, signer)
    gateway = Gateway([], store, signer, RpcServer().active, host="127.0.0.1")
    listener = listen("127.0.0.1", 0)
    server = HttpServer(gateway, listener, grace_s=1)
    server.start()
    yield Edge(listener.getsockname()[1], signer, store, tmp_path, server)
    server.stop()
    listener.close()


def test_uploaded_bytes_are_downloaded_again(edge: Edge) -> None:
    status, headers, _ = edge.ask("PUT", edge.put_url(), DATA)
    assert (status, headers["etag"]) == (200, f'"{DIGEST}"')

    status, headers, body = edge.ask("GET", edge.get_url())

    assert (status, body) == (200, DATA)
    assert headers["etag"] == f'"{DIGEST}"'
    assert headers["content-length"] == str(len(DATA))
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == "attachment"


def test_an_empty_object_is_stored(edge: Edge) -> None:
    empty = Digest.of(b"")

    assert edge.ask("PUT", edge.put_url(0, empty), b"")[0] == 200
    assert edge.ask("GET", edge.get_url(digest=empty))[::2] == (200, b"")


def test_a_body_without_a_length_is_stored(edge: Edge) -> None:
    pieces = (DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000))

    assert edge.ask("PUT", edge.put_url(), pieces)[0] == 200
    assert edge.store.verify(DIGEST)


def test_putting_twice_is_the_same_as_once(edge: Edge) -> None:
    assert edge.ask("PUT", edge.put_url(), DATA)[0] == 200
    assert edge.ask("PUT", edge.put_url(), DATA)[0] == 200


def test_other_bytes_than_signed_are_refused_and_not_stored(edge: Edge) -> None:
    status, _, body = edge.ask("PUT", edge.put_url(), b"x" * len(DATA))

    assert status == 400
    assert json.loads(body)["error_code"] == "INVALID_PARAMETER_VALUE"
    assert "Other bytes than declared" in json.loads(body)["message"]
    assert edge.left_behind() == []


@pytest.mark.parametrize("length", [0, len(DATA) - 1, len(DATA) + 1])
def test_another_length_than_signed_is_refused_before_the_bytes(edge: Edge, length: int) -> None:
    status, _, body = edge.ask("PUT", edge.put_url(), b"x" * length)

    assert status == 400
    assert f"expected {len(DATA)}, got {length}" in json.loads(body)["message"]
    assert edge.left_behind() == []


def test_more_bytes_than_signed_are_refused_without_a_length_too(edge: Edge) -> None:
    pieces = iter([DATA, b"x"])

    status, _, body = edge.ask("PUT", edge.put_url(), pieces)

    assert (status, "More bytes than declared" in json.loads(body)["message"]) == (400, True)
    assert edge.left_behind() == []


def test_an_upload_that_breaks_off_leaves_nothing_behind(edge: Edge) -> None:
    with edge.half_an_upload():
        pass
    edge.ask("GET", "/version")  # the connection before is accepted by now

    edge.server.stop()

    assert edge.left_behind() == []


def test_an_upload_that_stalls_does_not_keep_the_server_from_stopping(edge: Edge) -> None:
    with edge.half_an_upload():
        edge.ask("GET", "/version")

        edge.server.stop()

    assert edge.left_behind() == []


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-3000000", 1_000_000, 3_000_001),
        ("bytes=5-", 5, len(DATA)),
        ("bytes=-7", len(DATA) - 7, len(DATA)),
        ("bytes=-99999999", 0, len(DATA)),
        (f"bytes=10-{10**17}", 10, len(DATA)),
    ],
)
def test_a_range_is_answered_with_that_range(edge: Edge, asked: str, start: int, end: int) -> None:
    edge.store.put(DIGEST, [DATA], len(DATA))

    status, headers, body = edge.ask("GET", edge.get_url(), headers={"Range": asked})

    assert (status, body) == (206, DATA[start:end])
    assert headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"


@pytest.mark.parametrize(
    "headers",
    [
        {"Range": "bytes=0-1,5-6"},
        {"Range": "bytes=-"},
        {"Range": "bytes=9-3"},
        {"Range": "lines=0-1"},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
    ],
)
def test_a_range_that_cannot_be_read_is_answered_with_the_whole(
    edge: Edge, headers: dict[str, str]
) -> None:
    edge.store.put(DIGEST, [DATA], len(DATA))

    assert edge.ask("GET", edge.get_url(), headers=headers)[::2] == (200, DATA)


@pytest.mark.parametrize("asked", [f"bytes={len(DATA)}-", "bytes=-0"])
def test_a_range_outside_the_object_is_refused(edge: Edge, asked: str) -> None:
    edge.store.put(DIGEST, [DATA], len(DATA))

    status, headers, body = edge.ask("GET", edge.get_url(), headers={"Range": asked})

    assert (status, headers["content-range"]) == (416, f"bytes */{len(DATA)}")
    assert json.loads(body)["error_code"] == "INVALID_PARAMETER_VALUE"


def test_a_head_returns_the_size_without_the_bytes(edge: Edge) -> None:
    edge.store.put(DIGEST, [DATA], len(DATA))

    status, headers, body = edge.ask("HEAD", edge.get_url())

    assert (status, headers["content-length"], body) == (200, str(len(DATA)), b"")


@pytest.mark.parametrize("tag", [f'"{DIGEST}"', f'W/"{DIGEST}"', f'"x", "{DIGEST}"', "*"])
def test_a_matching_etag_gets_no_bytes(edge: Edge, tag: str) -> None:
    edge.store.put(DIGEST, [DATA], len(DATA))

    status, _, body = edge.ask("GET", edge.get_url(), headers={"If-None-Match": tag})

    assert (status, body) == (304, b"")


def test_a_file_name_cannot_break_out_of_its_header(edge: Edge) -> None:
    edge.store.put(DIGEST, [DATA], len(DATA))
    name = 'ж".html\r\nSet-Cookie: a=b'

    _, headers, _ = edge.ask("GET", edge.get_url(name))

    assert headers["content-disposition"] == (
        "attachment; filename*=UTF-8''%D0%B6%22.html%0D%0ASet-Cookie%3A%20a%3Db"
    )
    assert "set-cookie" not in headers


def test_a_missing_object_is_not_found(edge: Edge) -> None:
    status, _, body = edge.ask("GET", edge.get_url())

    assert (status, json.loads(body)["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_request_without_a_signature_is_refused(edge: Edge, method: str) -> None:
    edge.store.put(DIGEST, [DATA], len(DATA))

    assert edge.ask(method, f"/artifacts/objects/{DIGEST}", DATA)[0] == 403


def test_a_url_for_get_does_not_allow_put_nor_the_reverse(edge: Edge) -> None:
    edge.store.put(DIGEST, [DATA], len(DATA))

    assert edge.ask("PUT", edge.get_url(), DATA)[0] == 403
    assert edge.ask("GET", edge.put_url())[0] == 403


def test_an_expired_url_is_refused_as_expired(edge: Edge) -> None:
    path = _path(edge.signer.put_url(DIGEST, len(DATA), int(time.time()) - 1))

    status, _, body = edge.ask("PUT", path, DATA)

    assert (status, "has expired" in json.loads(body)["message"]) == (403, True)


@pytest.mark.parametrize(
    "path",
    [
        "/artifacts/objects/",
        "/artifacts/objects/../../etc/passwd",
        "/artifacts/objects/%2e%2e%2fpasswd",
        f"/artifacts/objects/{DIGEST.upper()}",
        f"/artifacts/objects/{DIGEST}/x",
        f"/artifacts/objects/{DIGEST}?a=1&a=2",
        f"/artifacts/objects/{DIGEST}?" + "&".join(f"p{n}=" for n in range(65)),
    ],
)
def test_a_malformed_url_is_refused(edge: Edge, path: str) -> None:
    status, _, body = edge.ask("GET", path)

    assert status == 400
    assert json.loads(body)["error_code"] == "INVALID_PARAMETER_VALUE"


def test_many_concurrent_transfers_all_succeed(edge: Edge) -> None:
    statuses = []

    def transfer(number: int) -> None:
        data = bytes([number]) * 300_000
        digest = Digest.of(data)
        put = edge.ask("PUT", edge.put_url(len(data), digest), data)[0]
        get = edge.ask("GET", edge.get_url(digest=digest))
        statuses.append((put, get[0], get[2] == data))

    threads = [threading.Thread(target=transfer, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [(200, 200, True)] * 40


@pytest.fixture
def endless(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Make the object 1 TiB large; return an event that is set when its reader is closed."""
    closed = threading.Event()

    @contextmanager
    def opened(_digest: Digest, _start: int, _end: int) -> Iterator[Iterator[bytes]]:
        try:
            yield itertools.repeat(bytes(1 << 20))
        finally:
            closed.set()

    monkeypatch.setattr(edge.store, "size_bytes", lambda _digest: 1 << 40)
    monkeypatch.setattr(edge.store, "open", opened)
    return closed


def test_an_aborted_download_is_not_read_to_its_end(edge: Edge, endless: threading.Event) -> None:
    with socket.create_connection(("127.0.0.1", edge.port)) as raw:
        raw.sendall(f"GET {edge.get_url()} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert raw.recv(1000)
    assert endless.wait(30)


def test_a_download_to_a_stalled_client_is_ended(
    edge: Edge, endless: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protocol, "reads_within_s", 0.1)
    with socket.create_connection(("127.0.0.1", edge.port)) as raw:
        raw.sendall(f"GET {edge.get_url()} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert endless.wait(30)


def test_uploads_that_stall_do_not_keep_others_from_downloading(edge: Edge) -> None:
    edge.store.put(DIGEST, [DATA], len(DATA))
    with ExitStack() as uploads:
        for _ in range(40):
            uploads.enter_context(edge.half_an_upload())
        assert edge.ask("GET", edge.get_url())[::2] == (200, DATA)
