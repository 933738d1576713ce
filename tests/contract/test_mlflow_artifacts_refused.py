"""Uploads through the proxy that are refused, stall, break off or run concurrently."""

import http.client
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.http.artifact_edge import API, FILES, Edge, running_edge
from tests.support.processes.measured import measured

from modelyard_gateway.artifacts.uploads import UploadLimits
from modelyard_kit.http.exchange import Exchange

TOKEN = "a-token-of-the-test"
MIB = 1 << 20


def tree_of(edge: Edge) -> str:
    return f"0/{edge.create_run()}/artifacts"


@contextmanager
def upload_of(edge: Edge, path: str, size_bytes: int, sent: bytes) -> Iterator[socket.socket]:
    """Yield an upload whose client has sent only a part of the announced body."""
    head = f"PUT {FILES}/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size_bytes}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", edge.port), timeout=30) as raw:
        raw.sendall(head.encode() + sent)
        yield raw


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge"), token=TOKEN) as edge:
        yield edge


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", f"Basic {TOKEN}", TOKEN])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "{FILES}/{tree}/b.txt"),
        ("GET", "{FILES}/{tree}/a.txt"),
        ("HEAD", "{FILES}/{tree}/a.txt"),
        ("DELETE", "{FILES}/{tree}/a.txt"),
        ("GET", "{FILES}?path={tree}"),
        ("GET", "{API}/presigned/{tree}/a.txt"),
        ("POST", "{API}/mpu/create/{tree}"),
        ("GET", "/get-artifact?run_id={run_id}&path=a.txt"),
        ("POST", "/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path=b.txt"),
        ("GET", "/model-versions/get-artifact?name=iris&version=1&path=MLmodel"),
    ],
)
def test_nothing_is_returned_or_stored_without_the_token(
    guarded: Edge, method: str, path: str, authorization: str | None
) -> None:
    tree = tree_of(guarded)
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.ask("PUT", f"{FILES}/{tree}/a.txt", b"a", right)[0] == 200
    before = guarded.left_behind()
    headers = {"Content-Type": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    url = path.format(FILES=FILES, API=API, tree=tree, run_id=tree.split("/")[1])
    body = b'{"path": "x", "num_parts": 1}' if method in {"PUT", "POST"} else None

    status, _, answer = guarded.ask(method, url, body, headers)

    assert status == 401
    assert b"UNAUTHENTICATED" in answer or method == "HEAD"
    assert guarded.left_behind() == before
    assert guarded.json("GET", f"{FILES}?path={tree}", None, **right)["files"] == [
        {"path": "a.txt", "is_dir": False, "file_size": 1}
    ]


def test_a_request_with_expect_is_refused_before_a_byte_is_read(guarded: Edge) -> None:
    head = f"PUT {FILES}/{tree_of(guarded)}/a.bin HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Length: {1 << 40}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=30) as raw:
        raw.sendall(head.encode())
        reply = raw.recv(65536)
    assert reply.startswith(b"HTTP/1.1 401 ")


def test_a_client_that_sends_its_whole_body_first_still_reads_the_refusal(
    guarded: Edge,
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=30)
    connection.request("PUT", f"{FILES}/{tree_of(guarded)}/a.bin", bytes(20 * MIB))
    assert connection.getresponse().status == 401
    connection.close()


def test_a_file_over_the_limit_is_refused_with_or_without_a_length(tmp_path: Path) -> None:
    with running_edge(tmp_path, limits=UploadLimits(max_bytes=MIB)) as edge:
        tree = tree_of(edge)
        for body in (bytes(MIB + 1), (bytes(1000) for _ in range(MIB // 1000 + 1))):
            status, code, message = edge.refusal("PUT", f"{FILES}/{tree}/a.bin", body)
            assert (status, code) == (413, "INVALID_PARAMETER_VALUE")
            assert str(MIB) in message
        assert edge.left_behind() == []
        assert edge.ask("PUT", f"{FILES}/{tree}/a.bin", bytes(MIB))[0] == 200


def test_an_upload_that_stalls_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exchange, "stalled_after_s", 0.2)
    with running_edge(tmp_path) as edge:
        tree = tree_of(edge)
        with upload_of(edge, f"{tree}/a.bin", 10 * MIB, b"x" * 10) as raw:
            reply = http.client.HTTPResponse(raw)
            reply.begin()
            assert (reply.status, b"nothing was kept" in reply.read()) == (408, True)
            assert raw.recv(1) == b""
        assert edge.left_behind() == []
        assert edge.listed(tree) == {}


def test_an_upload_that_trickles_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exchange, "stalled_after_s", 0.3)
    with running_edge(tmp_path) as edge:
        tree = tree_of(edge)
        with upload_of(edge, f"{tree}/a.bin", MIB, b"x") as raw:
            sent = 0
            while not select.select([raw], [], [], 0.02)[0] and sent < 2_000:
                sent += raw.send(b"x")
            assert raw.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert edge.left_behind() == []


def test_an_upload_that_stalls_does_not_keep_the_server_from_stopping(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_edge(tmp_path) as edge:
        tree = tree_of(edge)
        with upload_of(edge, f"{tree}/a.bin", 10 * MIB, b"x" * 10):
            edge.ask("GET", "/version")  # the connection before is accepted by now
            edge.server.stop()
        assert edge.left_behind() == []
    assert not [record for record in caplog.records if record.exc_info]


def test_an_upload_waits_for_a_slot_and_is_refused_when_none_is_free(tmp_path: Path) -> None:
    with running_edge(tmp_path, limits=UploadLimits(max_concurrent=1, patience_s=0.2)) as edge:
        tree = tree_of(edge)
        before = measured("modelyard_upload_pending")
        with upload_of(edge, f"{tree}/a.bin", 1000, b"x" * 10) as raw:
            while measured("modelyard_upload_pending") == before:
                pass  # the first upload takes the slot as soon as it is pending
            status, headers, _ = edge.ask("PUT", f"{FILES}/{tree}/b.bin", b"data")
            raw.sendall(b"x" * 990)
            assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert status == 429
        assert headers["retry-after"]
        assert edge.ask("PUT", f"{FILES}/{tree}/c.bin", b"data")[0] == 200


def test_an_upload_that_breaks_off_replaces_nothing(tmp_path: Path) -> None:
    with running_edge(tmp_path) as edge:
        tree = tree_of(edge)
        assert edge.ask("PUT", f"{FILES}/{tree}/a.bin", b"before")[0] == 200
        before = edge.left_behind()
        with upload_of(edge, f"{tree}/a.bin", 1000, b"x" * 10):
            pass
        assert edge.ask("GET", f"{FILES}/{tree}/a.bin")[2] == b"before"
        edge.server.stop()
        assert edge.left_behind() == before


def test_many_concurrent_uploads_all_succeed(tmp_path: Path) -> None:
    with running_edge(tmp_path) as edge:
        tree = tree_of(edge)
        answers: list[tuple[int, bool]] = []

        def transfer(number: int) -> None:
            data = bytes([number]) * 200_000
            status, _, _ = edge.ask("PUT", f"{FILES}/{tree}/{number}.bin", data)
            got = edge.ask("GET", f"{FILES}/{tree}/{number}.bin")[2]
            answers.append((status, got == data))

        threads = [threading.Thread(target=transfer, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert answers == [(200, True)] * 40
        assert len(edge.listed(tree)) == 40


def test_concurrent_uploads_to_one_path_leave_one_of_them(tmp_path: Path) -> None:
    with running_edge(tmp_path) as edge:
        tree = tree_of(edge)
        contents = [bytes([number]) * 100_000 for number in range(8)]
        url = f"{FILES}/{tree}/a.bin"
        threads = [threading.Thread(target=edge.ask, args=("PUT", url, data)) for data in contents]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert edge.ask("GET", url)[2] in contents
        assert edge.listed(tree) == {"a.bin": 100_000}
