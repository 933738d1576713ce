"""Requests that no client library sends: wrong heads, missing bodies, Upgrade."""

import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.http.artifact_edge import FILES, Edge, running_edge

from modelyard_kit.http.protocol import MAX_HEAD_BYTES, Protocol

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
CREATE = b"POST /api/2.0/mlflow/experiments/create HTTP/1.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


@contextmanager
def connected(edge: Edge) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", edge.port), timeout=30)) as connection:
        yield connection


def answer(connection: socket.socket) -> tuple[int, bytes]:
    with closing(http.client.HTTPResponse(connection)) as reply:
        reply.begin()
        return reply.status, reply.read()


def all_received(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as file:
        return file.read()


def asked(edge: Edge, sent: bytes) -> tuple[int, bytes]:
    with connected(edge) as connection:
        connection.sendall(sent)
        return answer(connection)


def put(edge: Edge, name: str) -> bytes:
    return f"PUT {FILES}/0/{edge.create_run()}/artifacts/{name} HTTP/1.1\r\n".encode() + HOST


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\n" + CHUNKED,
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: gzip\r\n" + CHUNKED,
        b"Transfer-Encoding : chunked\r\n",
        b"X-A: b\r\n Content-Length: 2\r\n",
        b"Host: elsewhere.example\r\nContent-Length: 2\r\n",
        b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 2\r\n",
        b"Authorization: Bearer a\r\nauthorization: Bearer a\r\nContent-Length: 2\r\n",
    ],
)
def test_a_head_that_two_readers_may_read_differently_is_refused(edge: Edge, head: bytes) -> None:
    follower = b"GET /version HTTP/1.1\r\n" + HOST + b"\r\n"
    with connected(edge) as connection:
        connection.sendall(CREATE + HOST + JSON + head + b"\r\n{}" + follower)
        received = all_received(connection)

    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"content-length: ") == 1


def test_trailers_of_a_chunked_body_are_no_headers(edge: Edge) -> None:
    body = (
        b'12\r\n{"name":"trailed"}\r\n0\r\nHost: elsewhere.example\r\nContent-Type: text/x\r\n\r\n'
    )
    assert asked(edge, CREATE + HOST + JSON + CHUNKED + b"\r\n" + body)[0] == 200


def test_trailers_of_a_chunked_body_are_bounded(edge: Edge) -> None:
    with connected(edge) as connection:
        connection.sendall(put(edge, "a.bin") + CHUNKED + b"\r\n1\r\na\r\n0\r\n")
        connection.sendall(b"X-A: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n")
        assert answer(connection)[0] == 431


@pytest.mark.parametrize("header", [b"Upgrade: h2c\r\n", b"Upgrade: websocket\r\n"])
def test_a_body_that_comes_with_an_upgrade_is_refused_not_lost(edge: Edge, header: bytes) -> None:
    head = put(edge, "a.bin") + b"Connection: Upgrade\r\n" + header
    status, body = asked(edge, head + b"Content-Length: 3\r\n\r\nabc")

    assert (status, b"must not have an Upgrade header" in body) == (400, True)


def test_an_upgrade_without_a_body_is_ignored_and_ends_the_connection(edge: Edge) -> None:
    head = b"GET /version HTTP/1.1\r\n" + HOST
    with connected(edge) as connection:
        connection.sendall(head + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        received = all_received(connection)

    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in received


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_compressed_body_is_refused_not_stored_as_it_is(edge: Edge, method: str) -> None:
    tree = f"0/{edge.create_run()}/artifacts"
    path = f"{FILES}/{tree}/a.bin" if method == "PUT" else "/api/2.0/mlflow/experiments/create"
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    status, received, body = edge.ask(method, path, b"\x1f\x8b", headers)

    assert (status, received["accept-encoding"]) == (415, "identity")
    assert b"'gzip'" in body
    assert edge.listed(tree) == {}


def test_a_refused_request_gets_no_100_continue(edge: Edge) -> None:
    head = f"PUT {FILES}/0/none/artifacts/a.bin HTTP/1.1\r\n".encode() + HOST
    with connected(edge) as connection:
        connection.sendall(head + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        received = all_received(connection)

    assert received.startswith(b"HTTP/1.1 404 ")
    assert b"connection: close" in received


def test_an_accepted_request_gets_a_100_continue(edge: Edge) -> None:
    with connected(edge) as connection:
        connection.sendall(
            put(edge, "a.bin") + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert answer(connection) == (200, b"{}")


def test_a_chunk_of_the_wrong_length_stores_nothing(edge: Edge) -> None:
    before = edge.left_behind()
    head = put(edge, "a.bin") + CHUNKED
    assert asked(edge, head + b"\r\n5\r\nabc\r\n0\r\n\r\n")[0] == 400
    assert edge.left_behind() == before


def test_pipelined_requests_are_answered_in_order(edge: Edge) -> None:
    version = b"GET /version HTTP/1.1\r\n" + HOST + b"\r\n"
    refused = CREATE + HOST + JSON + b"Content-Length: 2\r\n\r\n{}"
    with connected(edge) as connection:
        connection.sendall(
            version + refused + version.replace(HOST, HOST + b"Connection: close\r\n")
        )
        received = all_received(connection)

    assert re.findall(rb"HTTP/1.1 (\d+) ", received) == [b"200", b"400", b"200"]


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /version HTTP/1.1\r\nHost: loc"])
def test_a_head_that_stalls_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(Protocol, "head_within_s", 0.1)
    with running_edge(tmp_path) as edge, connected(edge) as connection:
        connection.sendall(sent)
        received = all_received(connection)

    assert received.startswith(b"HTTP/1.1 408 ") if sent.startswith(b"GET") else received == b""


def test_a_refusal_is_not_written_into_a_running_response(edge: Edge) -> None:
    data = b"\0" * (32 << 20)
    tree = f"0/{edge.create_run()}/artifacts"
    assert edge.ask("PUT", f"{FILES}/{tree}/a.bin", data)[0] == 200
    with connected(edge) as connection:
        connection.sendall(f"GET {FILES}/{tree}/a.bin HTTP/1.1\r\n".encode() + HOST + b"\r\n")
        first = connection.recv(65536)
        connection.sendall(b"\x16\x03 nonsense\r\n\r\n")
        received = bytearray(first)
        try:
            while chunk := connection.recv(1 << 20):
                received += chunk
        except ConnectionResetError:
            pass

    assert received.count(b"HTTP/1.1 ") == 1
