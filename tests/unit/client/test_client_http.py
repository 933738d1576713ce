"""HTTP of the client: proxies of the environment."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from tests.support.stores.answering_store import Answer, AnsweringStore, answering_store

from modelyard._transport.http import Connections, HttpRefusal

_AUTHORIZATION = "Basic " + base64.b64encode(b"me:pa ss").decode()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def connections() -> Iterator[Connections]:
    with Connections(None, 10) as connections:
        yield connections


@pytest.fixture
def store() -> Iterator[AnsweringStore]:
    with answering_store() as store:
        store.answer = lambda _: Answer(body=b"bytes")
        yield store


def _get(connections: Connections, url: str) -> bytes:
    with connections.request("GET", url, {"x": "y"}) as reply:
        return reply.read()


def _port(store: AnsweringStore) -> str:
    return store.url.split("/")[2].partition(":")[2]


def test_an_http_proxy_is_told_the_whole_url(
    connections: Connections, store: AnsweringStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://me:pa%20ss@127.0.0.1:{_port(store)}")
    for _ in range(2):
        assert _get(connections, "http://store.example.org:9000/a?b=c") == b"bytes"
    first, second = store.requests
    assert first.path == "http://store.example.org:9000/a?b=c"
    assert first.headers["host"] == "store.example.org:9000"
    assert first.headers["proxy-authorization"] == _AUTHORIZATION
    assert first.peer == second.peer


def test_this_machine_is_never_asked_for_through_a_proxy(
    connections: Connections, store: AnsweringStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert _get(connections, store.url) == b"bytes"
    assert store.requests[0].path == "/object?signature=1"


def test_hosts_of_no_proxy_are_asked_directly(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.2")
    with answering_store(host="127.0.0.2") as store:
        store.answers = [Answer(body=b"bytes")]
        assert _get(connections, store.url) == b"bytes"


@pytest.fixture
def tunnel() -> Iterator[tuple[int, list[bytes], list[int]]]:
    """A proxy that connects to whatever port it has been told, and what it was asked."""
    asked: list[bytes] = []
    to: list[int] = []

    def passing() -> None:
        near, _ = listener.accept()
        with near, socket.create_connection(("127.0.0.1", to[0])) as far:
            asked.append(near.recv(65536))
            near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=_pump, args=(far, near))
            back.start()
            _pump(near, far)
            back.join()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=passing)
        thread.start()
        yield listener.getsockname()[1], asked, to
        thread.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either end may be gone by then
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_https_goes_through_a_tunnel_to_the_right_name(
    tunnel: tuple[int, list[bytes], list[int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port, asked, to = tunnel
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("MODELYARD_TLS_CA_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("https_proxy", f"http://me:pa%20ss@127.0.0.1:{port}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("store.example.org").configure_cert(context)
    with answering_store(context) as store:
        store.answer = lambda _: Answer(body=b"bytes")
        to.append(int(_port(store)))
        with Connections(None, 10) as connections:
            assert _get(connections, "https://store.example.org/a") == b"bytes"
    (connect,) = asked
    assert connect.startswith(b"CONNECT store.example.org:443 ")
    assert f"Proxy-Authorization: {_AUTHORIZATION}".encode() in connect
    assert store.requests[0].path == "/a"
    assert "proxy-authorization" not in store.requests[0].headers


def test_an_answer_that_is_no_success_is_told(
    connections: Connections, store: AnsweringStore
) -> None:
    for status in (301, 404, 500):
        store.answer = lambda _, status=status: Answer(status)
        with pytest.raises(HttpRefusal) as refused:
            _get(connections, store.url)
        assert refused.value.status == status
    assert store.connections == 1


def test_only_http_is_spoken(connections: Connections) -> None:
    with pytest.raises(ValueError, match="scheme 'ftp'"):
        _get(connections, "ftp://store.example.org/a")
